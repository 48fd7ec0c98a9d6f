"""A saved generator in other formats, each read back and compared with Keras.

Imports generating and all below it. Begin with `export.py`.
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
