"""pgan-export: writes a trained generator in the formats of other programs."""

import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from pgan_tf.cli.devices import define_ema_length, ready_devices
from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.runs.run_directory import require_network
from tfrecords_tools import command
from tfrecords_tools.errors import required
from tfrecords_tools.printable import say
from tfrecords_tools.progress import working

NAME = "pgan-export"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see `command.run`."""
    return command.run(COMMAND, argv)


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    absl_flags.DEFINE_string(
        "network",
        None,
        "A run directory, whose newest EMA generator is exported, or a .keras file. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_string(
        "output",
        None,
        "The export to write. For saved_model and web a directory; for other formats a file, or a "
        "directory in which generator.keras, generator.onnx or generator.tflite is written. "
        "Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_enum(
        "format",
        None,
        ["keras", "saved_model", "onnx", "tflite", "web"],
        "The format to write. keras: a .keras file that loads without pgan_tf; web: a page that "
        "generates in the browser; onnx and web need pip install 'pgan_tf[onnx]'. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_enum(
        "output_type",
        "float32",
        ["float32", "uint8"],
        "The type of the images' values: float32 in [-1, 1], or uint8 in 0 to 255.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_enum(
        "tflite_precision",
        "float32",
        ["float32", "float16"],
        "The type of the weights in a tflite file.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_string(
        "runtime",
        None,
        "With --format=web, a directory of ONNX Runtime Web's npm package, which is copied into "
        "the page's; without, the page loads it from a content delivery network.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_boolean(
        "overwrite", False, "Replace an export that exists already.", flag_values=flag_values
    )
    define_ema_length(flag_values)


def _export(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("network", "output", "format"):
        required(flags[name], name, NAME)
    require_network(flags["network"])
    advice = "hide the GPU, with CUDA_VISIBLE_DEVICES=-1"
    with ready_devices(tf32="on", advice=advice):
        with quiet_tensorflow():
            from pgan_tf.exporting import ExportOptions, export_generator
        with working("exporting and comparing"):
            export = export_generator(
                flags["network"],
                flags["output"],
                file_format=flags["format"],
                overwrite=flags["overwrite"],
                ema_length=flags["ema_length"],
                **{name: flags[name] for name in ExportOptions.__dataclass_fields__},
            )
    say(
        f"{export.path}: {export.bytes / 1e6:.1f} MB; read back, its images in [-1, 1] differ from "
        f"Keras's by at most {export.difference:.1g}"
    )
    return command.EXIT_OK


COMMAND = command.Command(
    NAME,
    command.Help(
        description="writes a generator in another format, reads the export back and compares its "
        "images with Keras's.",
        example="pgan-export --network=runs/faces --format=saved_model --output=exported/",
    ),
    _define_flags,
    _export,
)


if __name__ == "__main__":
    sys.exit(main())
