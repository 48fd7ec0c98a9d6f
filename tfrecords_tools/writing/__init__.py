"""From a source of images to a pyramid on disk.

`writer.py` writes a pyramid; begin there. `conversion.py` turns chunks of images into records of
every level (`levels.py`). Three outputs put the records into files: `raw_output.py` in place,
`png_output.py` in order, `beam_output.py` on several machines. `layout.py` says which image is in
which file, `journal.py` what an interrupted run has done, `disk.py` whether there is room.

Imports `sources`, `format` and the common ground.
"""
