"""Export of saved generators in other formats, each read back and compared with Keras.

Begin with `export.py`; `export_format.py` is what it knows of a format. The other files write and
read one format each. Imports generating and all
below it.
"""

from pgan_tf.exporting.export import (
    FORMATS,
    OUTPUT_TYPES,
    TFLITE_PRECISIONS,
    Export,
    export_generator,
    output_file,
)
from pgan_tf.exporting.export_format import ExportFormat, ExportOptions

__all__ = [
    "FORMATS",
    "OUTPUT_TYPES",
    "TFLITE_PRECISIONS",
    "Export",
    "ExportFormat",
    "ExportOptions",
    "export_generator",
    "output_file",
]
