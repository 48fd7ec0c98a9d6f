"""The pyramid on disk: reading it, and what a writer has to know. See
docs/reference/pyramid-format.md.
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
