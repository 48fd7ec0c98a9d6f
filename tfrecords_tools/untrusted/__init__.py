"""Files that others have written: opened only if they are regular, and read within bounds.

One module for each kind of file; `regular_file.py` is the ground of all. Any damage is a
`UserError` that names the file. Pickles have a reader of their own, `safe_pickle.py`. Imports no
other room.
"""
