"""pgan-generate: pictures and videos from a trained generator."""

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from pgan_tf.cli.quiet import quiet_tensorflow
from tfrecords_tools import command
from tfrecords_tools.errors import UserError, required

if TYPE_CHECKING:
    from pgan_tf.generating.sampler import Sampler

NAME = "pgan-generate"

# Flags that not everything that can be made has a use for, and what they are for.
_ONLY_FOR = {
    "grid": ("images",),
    "latents": ("images",),
    "seed": ("images", "table", "interpolation"),
    "num_images": ("images", "table", "interpolation"),
    "classes": ("images", "table", "arithmetic", "interpolation"),
    "truncation": ("images", "table", "arithmetic", "interpolation"),
    "batch_size": ("images", "table", "arithmetic", "interpolation"),
    "seconds": ("interpolation", "training"),
    "fps": ("interpolation", "training"),
    "format": ("interpolation", "training"),
    "smoothing": ("interpolation",),
}
_DEFAULT_IMAGES, _DEFAULT_COLUMNS, _DEFAULT_WALKS = 64, 8, 9


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; see `tfrecords_tools.command.run` for what it returns."""
    return command.run(
        NAME,
        "draws images and videos from a run's newest EMA generator, or from a .keras file.",
        argv,
        _define_flags,
        _generate,
    )


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    def define(kind: Callable, name: str, default: Any, text: str, **options: Any) -> None:
        kind(name=name, default=default, help=text, flag_values=flag_values, **options)

    string, integer = absl_flags.DEFINE_string, absl_flags.DEFINE_integer
    boolean, number = absl_flags.DEFINE_boolean, absl_flags.DEFINE_float
    define(string, "network", None, "A run directory or a .keras file. Required.")
    define(
        string,
        "output",
        None,
        "Where pictures and videos go: a directory, made if it is new. Required.",
    )
    define(boolean, "overwrite", False, "Write into a directory that holds files.")
    define(
        integer,
        "num_images",
        None,
        "How many images; with --table how many columns; in --video=interpolation how many walks "
        "side by side. Default: 64, 8, and 9 or two a class.",
        lower_bound=1,
    )
    define(
        integer,
        "seed",
        0,
        "Another seed, other images. The first N images of a seed are the same for every N.",
        lower_bound=0,
    )
    define(
        string,
        "latents",
        None,
        "Draw these latents, one image each: an .npy file of the shape [n latent_size].",
    )
    define(
        absl_flags.DEFINE_list,
        "classes",
        [],
        "Only these classes of a labelled network, by name or number, comma-separated, in turn. "
        "Default: all of them.",
    )
    define(
        number,
        "truncation",
        1.0,
        "From 0 to 1. The lower, the nearer images are to the network's average.",
    )
    define(boolean, "grid", True, "Also write grid.png.")
    define(
        boolean, "table", False, "Instead, write table.png: one class a row, one latent a column."
    )
    define(
        absl_flags.DEFINE_list,
        "arithmetic",
        [],
        "Instead, write arithmetic.png: a row for each sum of seeds, such as 1-2+3,4+5; first the "
        "image of each seed, last that of the sum.",
    )
    define(
        absl_flags.DEFINE_enum,
        "video",
        None,
        "Instead, write a video: a smooth walk through latent space that loops, or the grids of a "
        "run as it trained.",
        enum_values=["interpolation", "training"],
    )
    define(
        absl_flags.DEFINE_enum,
        "format",
        "mp4",
        "Of a video. mp4 needs the extra pgan_tf[video].",
        enum_values=["mp4", "gif", "webp"],
    )
    define(number, "seconds", 15.0, "How long a video is.", lower_bound=0.1)
    define(number, "fps", 30.0, "Frames a second of a video.", lower_bound=0.1)
    define(
        number,
        "smoothing",
        None,
        "How long a walk keeps its direction, in seconds. Default: 1, or less in short videos.",
        lower_bound=0.0,
    )
    define(
        integer,
        "batch_size",
        None,
        "Images at a time. Default: as many as fit into memory, up to 64.",
        lower_bound=1,
    )


def _generate(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("network", "output"):
        required(flags[name], name, NAME)
    wanted = _what(flags)
    for name, uses in _ONLY_FOR.items():
        if flag_values[name].present and wanted not in uses:
            raise UserError(
                f"--{name} goes with {' or '.join(map(_as_flag, uses))}. "
                f"Received: {_as_flag(wanted)}"
            )
    if flags["latents"] and (flag_values["num_images"].present or flag_values["seed"].present):
        raise UserError("--latents says which images: leave out --num_images and --seed")
    output = Path(flags["output"])
    if output.exists() and not output.is_dir():
        raise UserError(f"--output must be a directory. Received: {output}, a file")
    if output.is_dir() and any(output.iterdir()) and not flags["overwrite"]:
        raise UserError(f"--output={output} holds files already; name another, or give --overwrite")
    _check_can_be_written(output)
    print(_MAKERS[wanted](flags, output))
    return command.EXIT_OK


def _check_can_be_written(output: Path) -> None:
    """Makes a directory and a file in it for a moment, before a network is loaded."""
    new = [path for path in (output, *output.parents) if not path.exists()]
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise UserError(f"--output={output}: can't be written: {error.strerror}") from error
    finally:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()


def _what(flags: Mapping[str, Any]) -> str:
    """What is to be made: a key of `_MAKERS`."""
    asked = [name for name in ("table", "arithmetic", "video") if flags[name]]
    if len(asked) > 1:
        raise UserError(f"--{asked[0]} and --{asked[1]} are made by one call each")
    if not asked:
        return "images"
    return flags["video"] if asked == ["video"] else asked[0]


def _as_flag(wanted: str) -> str:
    if wanted == "images":
        return "images"
    return f"--{wanted}" if wanted in ("table", "arithmetic") else f"--video={wanted}"


def _sampler(flags: Mapping[str, Any]) -> "Sampler":
    with quiet_tensorflow():
        from pgan_tf.generating.sampler import Sampler
    return Sampler(flags["network"], truncation=flags["truncation"], batch_size=flags["batch_size"])


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
    return f"{output / 'table.png'}" + (f", its rows: {', '.join(rows)}" if rows else "")


def _arithmetic(flags: Mapping[str, Any], output: Path) -> str:
    sampler = _sampler(flags)
    from pgan_tf.generating.pictures import generate_arithmetic

    generate_arithmetic(sampler, output, expressions=flags["arithmetic"], classes=flags["classes"])
    return f"{output / 'arithmetic.png'}: the seeds, and last what they come to"


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
    return str(path)


def _training(flags: Mapping[str, Any], output: Path) -> str:
    with quiet_tensorflow():
        from pgan_tf.generating.timelapse import generate_timelapse
    path = output / f"training.{flags['format']}"
    grids = generate_timelapse(flags["network"], path, seconds=flags["seconds"], fps=flags["fps"])
    return f"{path}, of {grids} grids"


# Given the flags and the output directory, they make one thing and say what was made.
_MAKERS: dict[str, Callable[[Mapping[str, Any], Path], str]] = {
    "images": _images,
    "table": _table,
    "arithmetic": _arithmetic,
    "interpolation": _interpolation,
    "training": _training,
}
