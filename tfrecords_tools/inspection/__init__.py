"""Inspection of pyramids: descriptions, pictures, verification, extraction, comparison.

Imports writing and all below it. Each task of `pgan-inspect-tfrecords` is one file; begin with
`overview.py`. `selection.py` and `sheet.py` serve several of them: images that a user chooses, and
contact sheets. `chunks.py` shares the work between processes.
"""
