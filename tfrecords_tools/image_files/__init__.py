"""Image files of strangers: found in folders and archives, decoded within bounds, made to fit.

`files.py` numbers the image files of a folder, `archives.py` those of a .zip or .tar file, read in
place. `decoding.py` opens one with Pillow on this project's terms, `headers.py` reads its size and
color without its pixels. `policy.py` holds the rules by which an image of any size becomes one of
a given size and number of channels, and `pixels.py` applies them. One unusable image among many is
a `BadImageError`. Begin with `files.py` and `pixels.py`. Imports `files` and `untrusted`, and
shared modules.
"""
