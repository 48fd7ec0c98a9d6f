"""pgan-generate: makes images and videos with a trained generator."""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from pgan_tf.cli.devices import define_ema_length, define_tf32, ready_devices
from pgan_tf.cli.output_directory import output_directory
from pgan_tf.cli.products import MAKERS
from pgan_tf.generating.moves import MAX_AMOUNT, parse_moves
from pgan_tf.runs.run_directory import require_network
from tfrecords_tools import command
from tfrecords_tools.errors import UserError, required
from tfrecords_tools.printable import say

NAME = "pgan-generate"

_DRAWN = ("images", "table", "arithmetic", "interpolation", "directions")
# The products that a flag goes with; it is refused with the others.
_PRODUCTS_OF_FLAG = {
    "grid": ("images",),
    "latents": ("images",),
    "seed": ("images", "table", "interpolation", "directions"),
    "num_images": ("images", "table", "interpolation", "directions"),
    "classes": _DRAWN,
    "move": _DRAWN,
    "tf32": _DRAWN,
    "truncation": _DRAWN,
    "ema_length": _DRAWN,
    "batch_size": _DRAWN,
    "amount": ("directions",),
    "seconds": ("interpolation", "training"),
    "fps": ("interpolation", "training"),
    "format": ("interpolation", "training"),
    "smoothing": ("interpolation",),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see `command.run`."""
    return command.run(COMMAND, argv)


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    def define(kind: Callable, name: str, default: Any, text: str, **options: Any) -> None:
        kind(name=name, default=default, help=text, flag_values=flag_values, **options)

    string, integer = absl_flags.DEFINE_string, absl_flags.DEFINE_integer
    boolean, number = absl_flags.DEFINE_boolean, absl_flags.DEFINE_float
    define(
        string,
        "network",
        None,
        "A run directory, whose newest EMA generator is taken, a .keras file, or hf://user/name on "
        "Hugging Face's hub. Required.",
    )
    define(
        string,
        "output",
        None,
        "The directory for images and videos, made if it is new. Required.",
    )
    define(boolean, "overwrite", False, "Write into a directory that holds files already.")
    define(
        integer,
        "num_images",
        None,
        "Number of images; with --table of columns; with --video=interpolation of walks side by "
        "side; with --directions of rows for each. Default: 64 images, 8 columns, 9 walks (or two "
        "a class, if that is more), 3 rows.",
        lower_bound=1,
    )
    define(
        integer,
        "seed",
        0,
        "Seed of the latents. The first N images of a seed are the same for every --num_images.",
        lower_bound=0,
    )
    define(
        string,
        "latents",
        None,
        "Make one image of each of these latents: an .npy file of the shape [n latent_size].",
    )
    define(
        absl_flags.DEFINE_list,
        "classes",
        [],
        "Classes of a conditional network to show in turn, by name or number, separated by commas. "
        "Default: all of them.",
    )
    define(
        number,
        "truncation",
        1.0,
        "Truncation of the latents, from 0 to 1: the lower, the more images resemble the network's "
        "average.",
    )
    define(boolean, "grid", True, "Also write all images as grid.png.")
    define(
        boolean,
        "table",
        False,
        "Write table.png instead: a row for each class, a column for each latent.",
    )
    define(
        absl_flags.DEFINE_list,
        "arithmetic",
        [],
        "Write arithmetic.png instead: a row for each sum of seeds, such as 1-2+3,4+5, with the "
        "image of each seed and then that of the sum.",
    )
    define(
        integer,
        "directions",
        None,
        "Write directions.png instead: this number of the directions that change images most, each "
        "from a negative to a positive amount. directions.npy and directions.json hold them.",
        lower_bound=1,
    )
    define(
        number,
        "amount",
        6.0,
        "The largest amount that --directions shows, in standard deviations of latents.",
        lower_bound=0.1,
        upper_bound=MAX_AMOUNT,
    )
    _define_move(flag_values)
    define(
        absl_flags.DEFINE_enum,
        "video",
        None,
        "Write a video instead. interpolation: a smooth walk through latent space that loops; "
        "training: the grids that a run has drawn.",
        enum_values=["interpolation", "training"],
    )
    define(
        absl_flags.DEFINE_enum,
        "format",
        "mp4",
        "Format of the video. mp4 needs pip install 'pgan_tf[video]'.",
        enum_values=["mp4", "gif", "webp"],
    )
    define(number, "seconds", 15.0, "Length of the video in seconds.", lower_bound=0.1)
    define(number, "fps", 30.0, "Frames per second of the video.", lower_bound=0.1)
    define(
        number,
        "smoothing",
        None,
        "Seconds for which the walk of --video=interpolation keeps its direction. Default: 1, or a "
        "tenth of a video that is shorter than 10 seconds.",
        lower_bound=0.0,
    )
    define(
        integer,
        "batch_size",
        None,
        "Number of images to compute at a time. Default: as many as fit into memory, up to 64.",
        lower_bound=1,
    )
    define_ema_length(flag_values)
    define_tf32(flag_values)


def _define_move(flag_values: absl_flags.FlagValues) -> None:
    text = (
        "Move all latents along directions of --directions, as direction:amount; several are "
        "separated by commas, as 1:3,4:-2, or in flags of their own."
    )
    absl_flags.DEFINE_multi_string("move", None, text, flag_values=flag_values)
    flag_values["move"].help = text  # without the line that absl adds


def _generate(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("network", "output"):
        required(flags[name], name, NAME)
    flags["network"] = require_network(flags["network"])
    product = _product(flags)
    for name, products in _PRODUCTS_OF_FLAG.items():
        if flag_values[name].present and product not in products:
            raise UserError(
                f"--{name} goes with {' or '.join(map(_as_flag, products))}. "
                f"Received: {_as_flag(product)}"
            )
    if flags["latents"] and (flag_values["num_images"].present or flag_values["seed"].present):
        raise UserError("--latents chooses the images: leave out --num_images and --seed")
    parse_moves(flags["move"] or ())
    output = Path(flags["output"])
    # Grids that a run has drawn need no network.
    devices = (
        contextlib.nullcontext()
        if product == "training"
        else ready_devices(tf32=flags["tf32"], advice="give a smaller --batch_size")
    )
    with output_directory(output, overwrite=flags["overwrite"]), devices:
        say(MAKERS[product](flags, output))
    return command.EXIT_OK


def _product(flags: Mapping[str, Any]) -> str:
    """Return the product that the flags ask for, a key of `MAKERS`.

    Raises:
      UserError: the flags ask for two products.
    """
    asked = [name for name in ("table", "arithmetic", "directions", "video") if flags[name]]
    if len(asked) > 1:
        raise UserError(f"--{asked[0]} and --{asked[1]} need a call of {NAME} each")
    if not asked:
        return "images"
    return flags["video"] if asked == ["video"] else asked[0]


def _as_flag(product: str) -> str:
    """Return the flag that asks for a product, for messages."""
    if product == "images":
        return "images"
    return f"--video={product}" if product in ("interpolation", "training") else f"--{product}"


COMMAND = command.Command(
    NAME,
    command.Help(
        description="makes images and videos with a run's newest EMA generator, or with a .keras "
        "file.",
        example="pgan-generate --network=runs/faces --output=out --num_images=100 --seed=1",
        most_used=("network", "output", "num_images", "seed", "truncation", "classes", "video"),
        sections=(
            command.Section(
                "images",
                "single images and grids",
                (
                    *("network", "output", "overwrite", "num_images", "seed", "latents"),
                    *("classes", "truncation", "move", "ema_length", "grid", "batch_size", "tf32"),
                ),
            ),
            command.Section(
                "tables",
                "a table of classes, sums of latents",
                (
                    *("table", "arithmetic", "num_images", "seed", "classes", "truncation"),
                    *("move", "ema_length"),
                ),
            ),
            command.Section(
                "directions",
                "the directions in latent space that change images most",
                (
                    *("directions", "amount", "num_images", "seed", "classes", "truncation"),
                    *("move", "ema_length"),
                ),
            ),
            command.Section(
                "videos",
                "walks through latent space, the progress of training",
                (
                    *("video", "format", "seconds", "fps", "smoothing"),
                    *("num_images", "seed", "classes", "truncation", "move", "ema_length"),
                ),
            ),
        ),
    ),
    _define_flags,
    _generate,
)


if __name__ == "__main__":
    sys.exit(main())
