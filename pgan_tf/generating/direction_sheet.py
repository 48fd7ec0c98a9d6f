"""The sheet of the directions that change images most, and their file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pgan_tf.generating.captions import captioned_grid
from pgan_tf.generating.directions import move_latents
from pgan_tf.generating.sampler import Sampler
from pgan_tf.runs.grids import draw_latents, save_png, to_display
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file

_COLUMNS = 7
_SHEET_MAX_IMAGES = 1024


def generate_directions(
    sampler: Sampler,
    output: Path,
    *,
    count: int,
    rows: int,
    amount: float,
    seed: int,
    classes: Sequence[str] = (),
) -> int:
    """Write `directions.png`, `directions.npy` and `directions.json`.

    The sheet has a row for each direction and latent vector, from -amount to amount, with the
    vector's own image in the middle. Captions are the direction and the amount; in the middle the
    seed, the vector's number among those of the seed, and its class.

    Args:
      sampler: of the generator.
      output: a directory, made if it is new.
      count: number of directions.
      rows: latent vectors for each direction.
      amount: the largest, in standard deviations of latents; see `directions.move_latents`.
      seed: of the latents.
      classes: names or numbers, which take turns; empty for all.

    Returns:
      The number of directions on the sheet, which has at most 1024 images.

    Raises:
      UserError: there is no such class, there are fewer directions, or too many latent vectors.
    """
    if _COLUMNS * rows > _SHEET_MAX_IMAGES:
        raise UserError(
            f"--num_images must be at most {_SHEET_MAX_IMAGES // _COLUMNS} with --directions, for "
            f"a sheet of {_SHEET_MAX_IMAGES} images. Received: {rows}"
        )
    names, labels = sampler.labels(classes)
    directions, effects = sampler.directions(count)
    shown = min(count, _SHEET_MAX_IMAGES // (_COLUMNS * rows))
    amounts = np.linspace(-amount, amount, _COLUMNS)
    latents = draw_latents(rows, sampler.latent_size, seed=seed)
    steps = directions[:shown, np.newaxis, np.newaxis] * amounts[:, np.newaxis]
    moved = move_latents(latents[:, np.newaxis], steps)  # [shown rows columns latent_size]
    turns = None
    if labels is not None:
        of_row = labels[np.arange(rows) % len(labels)]
        turns = np.tile(of_row.repeat(_COLUMNS, axis=0), [shown, 1])
    images = list(sampler.draw(moved.reshape(-1, sampler.latent_size), turns))
    captions = [
        f"{number + 1}: {amounts[column]:+g}"
        if column != _COLUMNS // 2
        else f"seed {seed}:{row}" + (f", {names[row % len(names)]}" if names else "")
        for number in range(shown)
        for row in range(rows)
        for column in range(_COLUMNS)
    ]
    output.mkdir(parents=True, exist_ok=True)
    sheet = captioned_grid(to_display(np.stack(images)), captions, _COLUMNS)
    save_png(output / "directions.png", sheet)
    with whole_file(output / "directions.npy") as path, path.open("wb") as file:
        np.save(file, directions)
    described = {
        "network": str(sampler.file),
        "latent_size": sampler.latent_size,
        "effects": np.round(effects, 6).tolist(),
        "directions": np.round(directions.astype(float), 8).tolist(),
    }
    with whole_file(output / "directions.json") as path:
        path.write_text(json.dumps(described) + "\n", encoding="utf-8")
    return shown
