"""Pictures and videos of a saved generator, written to a directory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pgan_tf.generating.captions import captioned_grid
from pgan_tf.generating.latents import (
    evaluate_arithmetic,
    looping_walks,
    parse_arithmetic,
)
from pgan_tf.generating.sampler import Sampler
from pgan_tf.generating.video import save_video
from pgan_tf.runs.grids import draw_latents, make_grid, save_png, to_display
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
    """Write images as PNG files, and as one grid.

    Files are `000000.png` and so on; if the generator is conditional, `000000-<class>.png`. Classes
    take turns, so that each gets as many images, and the grid has one class per row. If labels are
    not classes (an image may have several), labels of real images take turns.

    Args:
      sampler: of the generator.
      output: a directory, made if it is new.
      latents: `[n latent_size]`.
      classes: names or numbers; empty for all.
      grid: whether to write `grid.png`, of the first 1024 images.

    Returns:
      The number of images written.

    Raises:
      UserError: there is no such class.
    """
    names, rows = sampler.labels(classes)
    turns, labels = _take_turns(len(latents), rows)
    output.mkdir(parents=True, exist_ok=True)
    kept: list[np.ndarray] = []
    for number, image in enumerate(sampler.draw(latents, labels)):
        suffix = f"-{_file_name(names[turns[number]])}" if names else ""
        save_png(output / f"{number:06d}{suffix}.png", image)
        if grid and number < _GRID_MAX_IMAGES:
            kept.append(to_display(image))
    if grid:
        save_png(output / "grid.png", _grid(np.stack(kept), len(names)))
    return len(latents)


def generate_table(
    sampler: Sampler, output: Path, *, columns: int, seed: int, classes: Sequence[str] = ()
) -> list[str]:
    """Write `table.png`, with one class per row and one latent vector per column.

    Captions are the seed, the latent vector's number among those of the seed, and the class; in
    this order, because a long name is cut.

    Args:
      sampler: of a conditional generator.
      output: a directory, made if it is new.
      columns: number of latent vectors.
      seed: of the latents.
      classes: names or numbers; empty for all.

    Returns:
      Names of the rows; empty if labels are not classes.

    Raises:
      UserError: there is no such class, or the generator is not conditional.
    """
    names, rows = sampler.labels(classes)
    if rows is None:
        raise UserError(f"--table needs a conditional network. Received: {sampler.file}")
    latents = draw_latents(columns, sampler.latent_size, seed=seed)
    drawn = sampler.draw(np.tile(latents, [len(rows), 1]), rows.repeat(columns, axis=0))
    images = to_display(np.stack(list(drawn)))
    output.mkdir(parents=True, exist_ok=True)
    captions = [
        f"{seed}:{column} {name}".rstrip()
        for name in names or [""] * len(rows)
        for column in range(columns)
    ]
    save_png(output / "table.png", captioned_grid(images, captions, columns))
    return names


def generate_arithmetic(
    sampler: Sampler, output: Path, *, expressions: Sequence[str], classes: Sequence[str] = ()
) -> None:
    """Write `arithmetic.png`, with a row for each sum of seeds (and class), its result last.

    Captions are the signs and seeds, and below the result its class.

    Args:
      sampler: of the generator.
      output: a directory, made if it is new.
      expressions: such as `1-2+3`; see `latents.parse_arithmetic`.
      classes: names or numbers; empty for all.

    Raises:
      UserError: there is no such class, or an expression is not a sum of seeds.
    """
    parsed = [parse_arithmetic(expression) for expression in expressions]
    names, labels = sampler.labels(classes)
    columns = max(len(terms) for terms in parsed) + 1
    lines, captions = [], []
    for terms in parsed:
        latents = evaluate_arithmetic(terms, sampler.latent_size)
        gap = [""] * (columns - len(terms) - 1)
        for row in range(1 if labels is None else len(labels)):
            tiled = None if labels is None else np.tile(labels[row], [len(latents), 1])
            images = to_display(np.stack(list(sampler.draw(latents, tiled))))
            line = np.zeros([columns, *images.shape[1:]], np.uint8)
            line[: len(terms)] = images[:-1]
            line[-1] = images[-1]
            lines.append(line)
            result = f"= {names[row]}" if names else "="
            captions += [*map(_term, range(len(terms)), terms), *gap, result]
    output.mkdir(parents=True, exist_ok=True)
    save_png(output / "arithmetic.png", captioned_grid(np.concatenate(lines), captions, columns))


def _term(position: int, term: tuple[int, int]) -> str:
    """Return a sign and a seed as people write them; no plus before the first."""
    sign, seed = term
    if sign < 0:
        return f"- seed {seed}"
    return f"+ seed {seed}" if position else f"seed {seed}"


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
    """Write a seamlessly looping video of walks through latent space, side by side.

    Args:
      sampler: of the generator.
      path: ends in `.mp4`, `.gif` or `.webp`.
      walks: number of walks; classes take turns, as in `generate_pngs`.
      seconds: length of a loop.
      fps: frames per second.
      smoothing: standard deviation of the Gaussian that smooths a walk, in seconds; about the time
        for which a walk keeps its direction.
      seed: of the walks.
      classes: names or numbers; empty for all.

    Raises:
      UserError: there is no such class, or the video can't be written (`video.save_video`).
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
    """Yield a grid of every `per_grid` images."""
    kept: list[np.ndarray] = []
    for image in images:
        kept.append(image)
        if len(kept) == per_grid:
            yield _grid(np.stack(kept), classes)
            kept.clear()


def _take_turns(count: int, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the row of labels that each image takes, and the labels `[count label_size]`."""
    if rows is None:
        return np.zeros(count, np.int64), None
    turns = np.arange(count) % len(rows)
    return turns, rows[turns]


def _grid(images: np.ndarray, classes: int) -> np.ndarray:
    """Arrange images in a near-square grid; with classes that take turns, one class per row.

    Without classes, the sides of the grid are as alike as whole columns let them be.
    """
    if classes:
        classes = min(classes, len(images))  # no rows for classes without images
        columns = -(-len(images) // classes)
        cells = np.zeros([classes * columns, *images.shape[1:]], images.dtype)
        for i, image in enumerate(images):
            cells[i % classes * columns + i // classes] = image
        return make_grid(cells, columns)
    height, width = images.shape[1:3]
    columns = int(np.ceil(np.sqrt(len(images) * height / width)))
    return make_grid(images, min(columns, len(images)))


def _file_name(name: str) -> str:
    """Replace the characters of a class name that a file name can't hold."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
