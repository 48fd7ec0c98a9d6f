"""pgan-export: writes a trained generator in the formats of other programs."""

import contextlib
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from pgan_tf.cli.devices import define_ema_length, ready_devices
from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.runs.hub import require_repository
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
        "A run directory, whose newest EMA generator is exported, a .keras file, or hf://user/name "
        "on Hugging Face's hub. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_string(
        "output",
        None,
        "The export to write. For saved_model, web and hub a directory; for others a file, or a "
        "directory in which generator.keras, generator.onnx or generator.tflite is written. "
        "Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_enum(
        "format",
        None,
        ["keras", "saved_model", "onnx", "tflite", "web", "hub"],
        "The format to write. keras: a .keras file that loads without pgan_tf; web: a page that "
        "generates in the browser; onnx and web need pip install 'pgan_tf[onnx]'; hub: a folder "
        "with a model card, for Hugging Face's hub and for people. Required.",
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
    _define_hub_flags(flag_values)


def _define_hub_flags(flag_values: absl_flags.FlagValues) -> None:
    """Define the flags of --format=hub; texts of the card that are not given stay gaps in it."""

    def string(name: str, help_text: str) -> None:
        absl_flags.DEFINE_string(name, "", help_text, flag_values=flag_values)

    def boolean(name: str, default: bool, help_text: str) -> None:
        absl_flags.DEFINE_boolean(name, default, help_text, flag_values=flag_values)

    string("title", "Title of the model card. Default: made from the data's name and the size.")
    string(
        "license",
        "License of the generator: an identifier that the hub knows, such as cc-by-4.0 or mit, "
        "another license's name, or a URL.",
    )
    string("intended_use", "The purpose of the generator, for its model card, in Markdown.")
    string("limitations", "Known limitations of the generator, for its model card, in Markdown.")
    string(
        "data_description",
        "The training images, for the model card, in Markdown: their subject, origin and license.",
    )
    boolean(
        "neighbors",
        True,
        "Copy the sheet of nearest neighbors, which shows training images, if pgan-evaluate has "
        "made one of this generator.",
    )
    string(
        "push_to",
        "Repository on Hugging Face's hub, user/name, to which the folder is uploaded; made if it "
        "is new. Log in by `hf auth login`, or set HF_TOKEN. Needs pip install 'pgan_tf[hub]'.",
    )
    boolean("private", False, "Make the repository of --push_to a private one.")


def _export(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("network", "output", "format"):
        required(flags[name], name, NAME)
    if flags["push_to"]:
        require_repository(flags["push_to"], "push_to")
    network = require_network(flags["network"])
    advice = "hide the GPU, with CUDA_VISIBLE_DEVICES=-1"
    with ready_devices(tf32="on", advice=advice):
        with quiet_tensorflow():
            from pgan_tf.exporting import ExportOptions, export_generator
        # An upload shows its own progress.
        shown = contextlib.nullcontext() if flags["push_to"] else working("exporting and comparing")
        with shown:
            export = export_generator(
                network,
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
    for line in export.advice:
        say(line)
    if export.url:
        say(f"uploaded to {export.url}")
    return command.EXIT_OK


COMMAND = command.Command(
    NAME,
    command.Help(
        description="writes a generator in another format, reads the export back and compares its "
        "images with Keras's.",
        example="pgan-export --network=runs/faces --format=saved_model --output=exported/",
        most_used=("network", "format", "output", "overwrite", "ema_length"),
        sections=(
            command.Section(
                "export",
                "the network, and the file or directory to write",
                (
                    *("network", "format", "output", "overwrite", "ema_length", "output_type"),
                    *("tflite_precision", "runtime"),
                ),
            ),
            command.Section(
                "hub",
                "a folder to hand on, and its upload (--format=hub)",
                (
                    *("title", "license", "intended_use", "limitations", "data_description"),
                    *("neighbors", "push_to", "private"),
                ),
            ),
        ),
    ),
    _define_flags,
    _export,
)


if __name__ == "__main__":
    sys.exit(main())
