"""Export of saved generators in other formats, each read back and compared with Keras.

Begin with `export.py`; the other files write and read one format each. Imports generating and all
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

__all__ = [
    "FORMATS",
    "OUTPUT_TYPES",
    "TFLITE_PRECISIONS",
    "Export",
    "export_generator",
    "output_file",
]
