"""Products of pgan-generate, each made from the command's flags."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.generating.moves import parse_moves
from tfrecords_tools.printable import counted
from tfrecords_tools.shape import has_alpha

if TYPE_CHECKING:
    from pgan_tf.generating.sampler import Sampler

_DEFAULT_IMAGES, _DEFAULT_COLUMNS, _DEFAULT_WALKS, _DEFAULT_ROWS = 64, 8, 9, 3


def _sampler(flags: Mapping[str, Any]) -> "Sampler":
    with quiet_tensorflow():
        from pgan_tf.generating.sampler import Sampler
    names = ("truncation", "batch_size", "ema_length")
    moves = parse_moves(flags["move"] or ())
    return Sampler(flags["network"], moves=moves, **{name: flags[name] for name in names})


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
    grid = f", {output / 'grid.png'}" if flags["grid"] else ""
    return f"{counted(written, 'image')} in {output}{grid}"


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


def _directions(flags: Mapping[str, Any], output: Path) -> str:
    sampler = _sampler(flags)
    from pgan_tf.generating.direction_sheet import generate_directions

    shown = generate_directions(
        sampler,
        output,
        count=flags["directions"],
        rows=flags["num_images"] or _DEFAULT_ROWS,
        amount=flags["amount"],
        seed=flags["seed"],
        classes=flags["classes"],
    )
    rest = f" (the first {shown})" if shown < flags["directions"] else ""
    return (
        f"{output / 'directions.png'}{rest}, directions.npy, directions.json; "
        "--move=1:3 moves latents along the first"
    )


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
MAKERS: dict[str, Callable[[Mapping[str, Any], Path], str]] = {
    "images": _images,
    "table": _table,
    "arithmetic": _arithmetic,
    "directions": _directions,
    "interpolation": _interpolation,
    "training": _training,
}
