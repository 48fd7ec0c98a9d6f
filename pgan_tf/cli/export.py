"""pgan-export: a trained generator for other programs."""

from collections.abc import Sequence

from absl import flags as absl_flags

from pgan_tf.cli.quiet import quiet_tensorflow
from tfrecords_tools import command
from tfrecords_tools.errors import required

NAME = "pgan-export"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; see `tfrecords_tools.command.run` for what it returns."""
    return command.run(
        NAME,
        "writes a generator in another format, reads it back and compares it with Keras.",
        argv,
        _define_flags,
        _export,
    )


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    absl_flags.DEFINE_string(
        "network",
        None,
        "A run directory, whose newest EMA generator is taken, or a .keras file. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_string(
        "output",
        None,
        "A directory for saved_model. For other formats a file, or a directory to put "
        "generator.keras, generator.onnx or generator.tflite in. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_enum(
        "format",
        None,
        ["keras", "saved_model", "onnx", "tflite"],
        "keras loads without pgan_tf installed; onnx needs the extra pgan_tf[onnx]. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_enum(
        "output_type",
        "float32",
        ["float32", "uint8"],
        "Of the images: floats in [-1, 1], or bytes in [0, 255].",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_enum(
        "tflite_precision",
        "float32",
        ["float32", "float16"],
        "Of the weights in a tflite file.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_boolean(
        "overwrite", False, "Replace an export that exists.", flag_values=flag_values
    )


def _export(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("network", "output", "format"):
        required(flags[name], name, NAME)
    with quiet_tensorflow():
        from pgan_tf.exporting import export_generator
    export = export_generator(
        flags["network"],
        flags["output"],
        file_format=flags["format"],
        output_type=flags["output_type"],
        tflite_precision=flags["tflite_precision"],
        overwrite=flags["overwrite"],
    )
    print(
        f"{export.path}: {export.bytes / 1e6:.1f} MB; read back, its images differ from Keras by "
        f"{export.difference:.1g} at most, of [-1, 1]"
    )
    return command.EXIT_OK
