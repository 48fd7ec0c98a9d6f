"""From a saved generator to a directory of PNGs."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from pgan_tf.sampling import draw_latents, generate_images, make_grid, save_png
from pgan_tf.saved_generator import as_function, describe_generator, find_generator, load_generator
from tfrecords_tools.errors import UserError

_GRID_MAX_IMAGES = 1024


def generate_pngs(
    network: str | os.PathLike,
    output: Path,
    *,
    num_images: int,
    seed: int,
    classes: Sequence[str] = (),
    grid: bool = True,
    batch_size: int = 16,
) -> int:
    """Writes images of a generator as PNGs, and as one grid.

    Files are `000000.png` on, and `000000-<class>.png` where the generator is conditional: classes
    take turns, so that each gets as many images, and the grid has one class a row. Where labels are
    no classes (several may hold of an image), those of real images are used, in turn.

    Args:
      network: a run directory or a `.keras` file.
      output: a directory, made if it is new.
      num_images: how many.
      seed: of the latents; the first images of a seed are the same however many are drawn.
      classes: names or numbers; empty takes all of them.
      grid: whether to write `grid.png` (of the first 1024 images).
      batch_size: images at a time.

    Returns:
      How many images were written.

    Raises:
      UserError: no such network, or no such class.
    """
    file = find_generator(network)
    model = load_generator(file)
    latent_size, label_size = _input_sizes(model)
    description = describe_generator(file)
    names = _class_names(label_size, description)
    chosen = _choose_classes(classes, names, str(file))
    latents = draw_latents(num_images, latent_size, seed=seed)
    rows = np.eye(max(label_size, 1), label_size, dtype=np.float32)[chosen]
    if description.get("label_rows") and not classes:
        chosen, rows = [], np.array(description["label_rows"], np.float32)
    turns = np.arange(num_images) % max(len(rows), 1)
    labels = rows[turns] if label_size else None

    output.mkdir(parents=True, exist_ok=True)
    kept: list[np.ndarray] = []
    progress = tqdm(total=num_images, unit="image", disable=None)
    number = 0
    for batch in generate_images(as_function(model), latents, labels, batch_size=batch_size):
        for image in batch:
            suffix = f"-{_file_name(names[chosen[turns[number]]])}" if chosen else ""
            save_png(output / f"{number:06d}{suffix}.png", image)
            if grid and number < _GRID_MAX_IMAGES:
                kept.append(image)
            number += 1
        progress.update(len(batch))
    progress.close()
    if grid:
        save_png(output / "grid.png", _grid(np.stack(kept), len(chosen)))
    return num_images


def _grid(images: np.ndarray, classes: int) -> np.ndarray:
    """A near-square grid; with classes that take turns, one class a row."""
    if classes:
        columns = -(-len(images) // classes)
        cells = np.zeros([classes * columns, *images.shape[1:]], images.dtype)
        for i, image in enumerate(images):
            cells[i % classes * columns + i // classes] = image
        return make_grid(cells, columns)
    return make_grid(images, int(np.ceil(np.sqrt(len(images)))))


def _input_sizes(model: keras.Model) -> tuple[int, int]:
    """Components of a latent vector and of a label; 0 for the second without labels."""
    sizes = [int(i.shape[-1]) for i in model.inputs]
    return sizes[0], sizes[1] if len(sizes) > 1 else 0


def _class_names(size: int, description: dict) -> tuple[str, ...]:
    names = tuple(description.get("label_names") or ())
    return names if len(names) == size else tuple(str(i) for i in range(size))


def _choose_classes(classes: Sequence[str], names: Sequence[str], file: str) -> list[int]:
    if not classes:
        return list(range(len(names)))
    if not names:
        raise UserError(f"--classes: {file} is not conditional. Received: {','.join(classes)}")
    chosen = []
    for entry in classes:
        if entry in names:
            chosen.append(names.index(entry))
        elif entry.isdecimal() and int(entry) < len(names):
            chosen.append(int(entry))
        else:
            raise UserError(f"--classes must be of {', '.join(names)}. Received: {entry}")
    return chosen


def _file_name(name: str) -> str:
    """A class name without what a file name can't hold."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
