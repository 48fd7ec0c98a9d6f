"""From a saved generator to pictures and videos in a directory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pgan_tf.generating.latents import (
    evaluate_arithmetic,
    looping_walks,
    parse_arithmetic,
)
from pgan_tf.generating.sampler import Sampler
from pgan_tf.generating.video import save_video
from pgan_tf.runs.grids import draw_latents, make_grid, save_png
from tfrecords_tools.errors import UserError

_GRID_MAX_IMAGES = 1024


def generate_pngs(
    sampler: Sampler,
    output: Path,
    *,
    latents: np.ndarray,
    classes: Sequence[str] = (),
    grid: bool = True,
) -> int:
    """Writes images as PNGs, and as one grid.

    Files are `000000.png` on, and `000000-<class>.png` where the generator is conditional: classes
    take turns, so that each gets as many images, and the grid has one class a row. Where labels are
    no classes (several may hold of an image), those of real images are used, in turn.

    Args:
      sampler: of the generator.
      output: a directory, made if it is new.
      latents: `[n latent_size]`.
      classes: names or numbers; empty takes all of them.
      grid: whether to write `grid.png` (of the first 1024 images).

    Returns:
      How many images were written.

    Raises:
      UserError: no such class.
    """
    names, rows = sampler.labels(classes)
    turns, labels = _take_turns(len(latents), rows)
    output.mkdir(parents=True, exist_ok=True)
    kept: list[np.ndarray] = []
    for number, image in enumerate(sampler.draw(latents, labels)):
        suffix = f"-{_file_name(names[turns[number]])}" if names else ""
        save_png(output / f"{number:06d}{suffix}.png", image)
        if grid and number < _GRID_MAX_IMAGES:
            kept.append(image)
    if grid:
        save_png(output / "grid.png", _grid(np.stack(kept), len(names)))
    return len(latents)


def generate_table(
    sampler: Sampler, output: Path, *, columns: int, seed: int, classes: Sequence[str] = ()
) -> list[str]:
    """Writes `table.png`: one class a row, one latent vector a column.

    Args:
      sampler: of a conditional generator.
      output: a directory, made if it is new.
      columns: how many latents.
      seed: of the latents.
      classes: names or numbers; empty takes all of them.

    Returns:
      Names of the rows; empty where labels are no classes.

    Raises:
      UserError: no such class, or the generator is not conditional.
    """
    names, rows = sampler.labels(classes)
    if rows is None:
        raise UserError(f"--table needs a conditional network. Received: {sampler.file}")
    latents = draw_latents(columns, sampler.latent_size, seed=seed)
    images = sampler.draw(np.tile(latents, [len(rows), 1]), rows.repeat(columns, axis=0))
    output.mkdir(parents=True, exist_ok=True)
    save_png(output / "table.png", make_grid(np.stack(list(images)), columns))
    return names


def generate_arithmetic(
    sampler: Sampler, output: Path, *, expressions: Sequence[str], classes: Sequence[str] = ()
) -> None:
    """Writes `arithmetic.png`: a row for each sum of seeds (and class), its result last.

    Args:
      sampler: of the generator.
      output: a directory, made if it is new.
      expressions: such as `1-2+3`; see `latents.parse_arithmetic`.
      classes: names or numbers; empty takes all of them.

    Raises:
      UserError: no such class, or an expression that is no sum of seeds.
    """
    parsed = [parse_arithmetic(expression) for expression in expressions]
    _, labels = sampler.labels(classes)
    columns = max(len(terms) for terms in parsed) + 1
    lines = []
    for terms in parsed:
        latents = evaluate_arithmetic(terms, sampler.latent_size)
        for label in [None] if labels is None else labels:
            tiled = None if label is None else np.tile(label, [len(latents), 1])
            images = np.stack(list(sampler.draw(latents, tiled)))
            line = np.zeros([columns, *images.shape[1:]], np.uint8)
            line[: len(terms)] = images[:-1]
            line[-1] = images[-1]
            lines.append(line)
    output.mkdir(parents=True, exist_ok=True)
    save_png(output / "arithmetic.png", make_grid(np.concatenate(lines), columns))


def generate_interpolation(
    sampler: Sampler,
    path: Path,
    *,
    walks: int,
    seconds: float,
    fps: float,
    smoothing: float,
    seed: int,
    classes: Sequence[str] = (),
) -> None:
    """Writes a video of walks through latent space, side by side, that loops without a seam.

    Args:
      sampler: of the generator.
      path: ends in `.mp4`, `.gif` or `.webp`.
      walks: how many; classes take turns, as in `generate_pngs`.
      seconds: of a loop.
      fps: frames a second.
      smoothing: how long a walk keeps its direction, in seconds: the standard deviation of the
        Gaussian that smooths it.
      seed: of the walks.
      classes: names or numbers; empty takes all of them.

    Raises:
      UserError: no such class, or what `video.save_video` raises.
    """
    names, rows = sampler.labels(classes)
    _, labels = _take_turns(walks, rows)
    frames = max(1, round(seconds * fps))
    latents = looping_walks(
        walks, frames, sampler.latent_size, smoothing=smoothing * fps, seed=seed
    )
    in_order = latents.swapaxes(0, 1).reshape(frames * walks, -1)
    images = sampler.draw(in_order, None if labels is None else np.tile(labels, [frames, 1]))
    save_video(path, _grids(images, walks, len(names)), fps=fps)


def _grids(images: Iterator[np.ndarray], per_grid: int, classes: int) -> Iterator[np.ndarray]:
    """Every so many images as one grid."""
    kept: list[np.ndarray] = []
    for image in images:
        kept.append(image)
        if len(kept) == per_grid:
            yield _grid(np.stack(kept), classes)
            kept.clear()


def _take_turns(count: int, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Which row of labels each image takes, and the labels `[count label_size]`."""
    if rows is None:
        return np.zeros(count, np.int64), None
    turns = np.arange(count) % len(rows)
    return turns, rows[turns]


def _grid(images: np.ndarray, classes: int) -> np.ndarray:
    """A near-square grid; with classes that take turns, one class a row."""
    if classes:
        classes = min(classes, len(images))  # no rows for those whose turn does not come
        columns = -(-len(images) // classes)
        cells = np.zeros([classes * columns, *images.shape[1:]], images.dtype)
        for i, image in enumerate(images):
            cells[i % classes * columns + i // classes] = image
        return make_grid(cells, columns)
    return make_grid(images, int(np.ceil(np.sqrt(len(images)))))


def _file_name(name: str) -> str:
    """A class name without what a file name can't hold."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
