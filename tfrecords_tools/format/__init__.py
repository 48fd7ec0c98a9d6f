"""The pyramid format: one reader, and what a writer needs; see docs/reference/pyramid-format.md.

Imports the common ground alone, and no TensorFlow. Begin with `pyramid.py`, whose `open_pyramid`
reads a directory: the names of its files (`names.py`), its manifest, its labels, and its levels
(`level.py`), whose files are raw (`raw_file.py`) or PNG (`png_file.py`). Their bytes come from a
local disk or from elsewhere (`byte_source.py`); `record.py` and `example.py` describe them.
"""

from tfrecords_tools.format.level import Level
from tfrecords_tools.format.manifest import MANIFEST_NAME, read_manifest, sha256_of, write_manifest
from tfrecords_tools.format.names import labels_name, level_name
from tfrecords_tools.format.pyramid import Pyramid, open_pyramid
from tfrecords_tools.format.record import RecordLayout, encode_records, record_layout

__all__ = [
    "MANIFEST_NAME",
    "Level",
    "Pyramid",
    "RecordLayout",
    "encode_records",
    "labels_name",
    "level_name",
    "open_pyramid",
    "read_manifest",
    "record_layout",
    "sha256_of",
    "write_manifest",
]
