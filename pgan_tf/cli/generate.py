"""pgan-generate: makes images and videos with a trained generator."""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from pgan_tf.cli.devices import define_ema_length, define_tf32, ready_devices
from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.runs.run_directory import require_network
from tfrecords_tools import command
from tfrecords_tools.errors import UserError, required
from tfrecords_tools.files import filled_directory, is_system_file
from tfrecords_tools.printable import say
from tfrecords_tools.shape import has_alpha

if TYPE_CHECKING:
    from pgan_tf.generating.sampler import Sampler

NAME = "pgan-generate"

# The products that a flag goes with; it is refused with the others.
_PRODUCTS_OF_FLAG = {
    "grid": ("images",),
    "latents": ("images",),
    "seed": ("images", "table", "interpolation"),
    "num_images": ("images", "table", "interpolation"),
    "classes": ("images", "table", "arithmetic", "interpolation"),
    "tf32": ("images", "table", "arithmetic", "interpolation"),
    "truncation": ("images", "table", "arithmetic", "interpolation"),
    "ema_length": ("images", "table", "arithmetic", "interpolation"),
    "batch_size": ("images", "table", "arithmetic", "interpolation"),
    "seconds": ("interpolation", "training"),
    "fps": ("interpolation", "training"),
    "format": ("interpolation", "training"),
    "smoothing": ("interpolation",),
}
_DEFAULT_IMAGES, _DEFAULT_COLUMNS, _DEFAULT_WALKS = 64, 8, 9


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
        "A run directory, whose newest EMA generator is taken, or a .keras file. Required.",
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
        "side. Default: 64 images, 8 columns, 9 walks (or two a class, if that is more).",
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


def _generate(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("network", "output"):
        required(flags[name], name, NAME)
    require_network(flags["network"])
    product = _product(flags)
    for name, products in _PRODUCTS_OF_FLAG.items():
        if flag_values[name].present and product not in products:
            raise UserError(
                f"--{name} goes with {' or '.join(map(_as_flag, products))}. "
                f"Received: {_as_flag(product)}"
            )
    if flags["latents"] and (flag_values["num_images"].present or flag_values["seed"].present):
        raise UserError("--latents chooses the images: leave out --num_images and --seed")
    output = Path(flags["output"])
    if output.exists() and not output.is_dir():
        raise UserError(f"--output must be a directory. Received: {output}, a file")
    # Grids that a run has drawn need no network.
    devices = (
        contextlib.nullcontext()
        if product == "training"
        else ready_devices(tf32=flags["tf32"], advice="give a smaller --batch_size")
    )
    with filled_directory(output):
        if not flags["overwrite"]:
            _check_empty(output)
        with devices:
            say(_MAKERS[product](flags, output))
    return command.EXIT_OK


def _check_empty(output: Path) -> None:
    """Refuse a directory that holds files already.

    Raises:
      UserError: names one of them.
    """
    held = [path.name for path in sorted(output.iterdir()) if not is_system_file(path.name)]
    if held:
        raise UserError(
            f"--output={output} holds files already ({held[0]}); name another directory, or give "
            "--overwrite"
        )


def _product(flags: Mapping[str, Any]) -> str:
    """Return the product that the flags ask for, a key of `_MAKERS`.

    Raises:
      UserError: the flags ask for two products.
    """
    asked = [name for name in ("table", "arithmetic", "video") if flags[name]]
    if len(asked) > 1:
        raise UserError(f"--{asked[0]} and --{asked[1]} need a call of {NAME} each")
    if not asked:
        return "images"
    return flags["video"] if asked == ["video"] else asked[0]


def _as_flag(product: str) -> str:
    """Return the flag that asks for a product, for messages."""
    if product == "images":
        return "images"
    return f"--{product}" if product in ("table", "arithmetic") else f"--video={product}"


def _sampler(flags: Mapping[str, Any]) -> "Sampler":
    with quiet_tensorflow():
        from pgan_tf.generating.sampler import Sampler
    names = ("truncation", "batch_size", "ema_length")
    return Sampler(flags["network"], **{name: flags[name] for name in names})


def _images(flags: Mapping[str, Any], output: Path) -> str:
    sampler = _sampler(flags)
    from pgan_tf.generating.latents import read_latents
    from pgan_tf.generating.pictures import generate_pngs
    from pgan_tf.runs.grids import draw_latents

    if flags["latents"]:
        latents = read_latents(flags["latents"], sampler.latent_size)
    else:
        count = flags["num_images"] or _DEFAULT_IMAGES
        latents = draw_latents(count, sampler.latent_size, seed=flags["seed"])
    written = generate_pngs(
        sampler, output, latents=latents, classes=flags["classes"], grid=flags["grid"]
    )
    return f"{written} images in {output}" + (f", {output / 'grid.png'}" if flags["grid"] else "")


def _table(flags: Mapping[str, Any], output: Path) -> str:
    sampler = _sampler(flags)
    from pgan_tf.generating.pictures import generate_table

    rows = generate_table(
        sampler,
        output,
        columns=flags["num_images"] or _DEFAULT_COLUMNS,
        seed=flags["seed"],
        classes=flags["classes"],
    )
    return f"{output / 'table.png'}" + (f", rows: {', '.join(rows)}" if rows else "")


def _arithmetic(flags: Mapping[str, Any], output: Path) -> str:
    sampler = _sampler(flags)
    from pgan_tf.generating.pictures import generate_arithmetic

    generate_arithmetic(sampler, output, expressions=flags["arithmetic"], classes=flags["classes"])
    return f"{output / 'arithmetic.png'}: in each row the images of the seeds, then that of the sum"


def _interpolation(flags: Mapping[str, Any], output: Path) -> str:
    sampler = _sampler(flags)
    from pgan_tf.generating.pictures import generate_interpolation

    seconds, smoothing = flags["seconds"], flags["smoothing"]
    classes = flags["classes"] or sampler.class_names
    path = output / f"interpolation.{flags['format']}"
    generate_interpolation(
        sampler,
        path,
        walks=flags["num_images"] or max(_DEFAULT_WALKS, 2 * len(classes)),
        seconds=seconds,
        fps=flags["fps"],
        smoothing=min(1.0, seconds / 10) if smoothing is None else smoothing,
        seed=flags["seed"],
        classes=flags["classes"],
    )
    over_white = ", transparent images over white" if has_alpha(sampler.channels) else ""
    return f"{path}{over_white}"


def _training(flags: Mapping[str, Any], output: Path) -> str:
    with quiet_tensorflow():
        from pgan_tf.generating.timelapse import generate_timelapse
    path = output / f"training.{flags['format']}"
    grids = generate_timelapse(flags["network"], path, seconds=flags["seconds"], fps=flags["fps"])
    return f"{path}, of {grids} grids"


# Each makes one product from the flags, in the output directory, and returns a line about it.
_MAKERS: dict[str, Callable[[Mapping[str, Any], Path], str]] = {
    "images": _images,
    "table": _table,
    "arithmetic": _arithmetic,
    "interpolation": _interpolation,
    "training": _training,
}


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
                    *("classes", "truncation", "ema_length", "grid", "batch_size", "tf32"),
                ),
            ),
            command.Section(
                "tables",
                "a table of classes, sums of latents",
                (
                    *("table", "arithmetic", "num_images", "seed", "classes", "truncation"),
                    "ema_length",
                ),
            ),
            command.Section(
                "videos",
                "walks through latent space, the progress of training",
                (
                    *("video", "format", "seconds", "fps", "smoothing"),
                    *("num_images", "seed", "classes", "truncation", "ema_length"),
                ),
            ),
        ),
    ),
    _define_flags,
    _generate,
)


if __name__ == "__main__":
    sys.exit(main())
