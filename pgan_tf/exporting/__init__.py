"""Generators for other programs: one file a format, and one that checks them all."""

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
