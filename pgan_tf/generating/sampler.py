"""A saved generator, ready to generate: classes, truncation, moves, batches that fit in memory."""

import os
import re
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from pgan_tf.generating.directions import (
    direction_effects,
    find_directions,
    move_latents,
    step_along,
)
from pgan_tf.generating.truncation import truncated_function
from pgan_tf.runs.batch_size import count_features, fitting_batch_size
from pgan_tf.runs.grids import generate_images
from pgan_tf.runs.saved_generator import find_generator, load_generator, read_description
from tfrecords_tools.errors import UserError
from tfrecords_tools.progress import Progress
from tfrecords_tools.shape import split_size

_MAX_BATCH = 64


class Sampler:
    """Generates images of a saved generator.

    Attributes:
      file: the generator's.
      model: the generator, without truncation and moves.
      latent_size: components of a latent vector.
      label_size: components of a label, 0 without labels.
      class_names: names of the classes, or their numbers if they have no names; empty without
        classes.
      resolution: of the stage; the side of squares in pixels.
      height: of the images, in pixels.
      width: of the images, in pixels.
      channels: of the images; with 2 or 4, the last is alpha.
      bits: of a value of the images: 16 if the network was trained on 16 bits, else 8.
      batch_size: images at a time.
    """

    def __init__(
        self,
        network: str | os.PathLike,
        *,
        truncation: float = 1.0,
        batch_size: int | None = None,
        ema_length: float | None = None,
        moves: Sequence[tuple[int, float]] = (),
    ):
        """Load the generator.

        Args:
          network: a run directory or a `.keras` file.
          truncation: from 0 to 1; see `truncation.with_truncation`.
          batch_size: images at a time; None for as many as fit into memory, up to 64.
          ema_length: of the moving average; see `load_generator`.
          moves: along directions, of all latents: numbers of directions, from 1, and amounts; see
            `find_directions` and `move_latents`.

        Raises:
          UserError: there is no such network, average or direction, or truncation is out of its
            range.
        """
        if not 0.0 <= truncation <= 1.0:
            raise UserError(f"--truncation must be from 0 to 1. Received: {truncation}")
        self.file = find_generator(network)
        model = load_generator(self.file, ema_length=ema_length)
        self.latent_size, self.label_size = _input_sizes(model)
        description = read_description(self.file)
        self.class_names = class_names(self.label_size, description.label_names or ())
        self._label_rows = description.label_rows
        self.height, self.width, self.channels = map(int, model.outputs[0].shape[1:])
        split = split_size(self.height, self.width)
        self.resolution = self.height if split is None else split[1]
        self.bits = 16 if description.bits == 16 and self.channels == 1 else 8
        self.batch_size = batch_size or fitting_batch_size(count_features(model), most=_MAX_BATCH)
        self.model = model
        self._step = step_along(model, moves) if moves else None
        self._generate = truncated_function(model, truncation, bits=self.bits)

    def labels(self, classes: Sequence[str] = ()) -> tuple[list[str], np.ndarray | None]:
        """Return the labels that images take in turn.

        Args:
          classes: names or numbers; empty for all.

        Returns:
          Names of the classes, and one-hot labels `[classes label_size]` float32. If labels are
          not classes (an image may have several): no names, and labels of real images. Without
          labels: no names, and None.

        Raises:
          UserError: there is no such class.
        """
        if self._label_rows and not classes:
            return [], np.array(self._label_rows, np.float32)
        chosen = self._choose_classes(classes)
        if not self.label_size:
            return [], None
        names = [self.class_names[i] for i in chosen]
        return names, np.eye(self.label_size, dtype=np.float32)[chosen]

    def _choose_classes(self, classes: Sequence[str]) -> list[int]:
        names = self.class_names
        if not classes:
            return list(range(len(names)))
        if not names:
            raise UserError(
                f"--classes: {self.file} is not conditional. Received: {','.join(classes)}"
            )
        chosen = []
        for entry in classes:
            if entry in names:
                chosen.append(names.index(entry))
            elif re.fullmatch(r"\d{1,18}", entry) and int(entry) < len(names):
                chosen.append(int(entry))
            else:
                raise UserError(f"--classes must be of {', '.join(names)}. Received: {entry}")
        return chosen

    def directions(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the directions that change images most, and their effects.

        Args:
          count: number of directions.

        Returns:
          `[count latent_size]` float32 from `find_directions`, and `[count]` from
          `direction_effects`.

        Raises:
          UserError: there are fewer.
        """
        found = find_directions(self.model, count)
        return found, direction_effects(self.model, found)

    def draw(self, latents: np.ndarray, labels: np.ndarray | None) -> Iterator[np.ndarray]:
        """Generate images one by one, with a progress bar.

        Args:
          latents: `[n latent_size]`, which the sampler's moves are applied to.
          labels: `[n label_size]`, or None.

        Yields:
          `[height width channels]` uint8, or uint16 if `bits` is 16; n in all.
        """
        if self._step is not None:
            latents = move_latents(latents, self._step)
        with Progress(len(latents), "images") as progress:
            for batch in generate_images(
                self._generate, latents, labels, batch_size=self.batch_size
            ):
                yield from batch
                progress.update(len(batch))


def _input_sizes(model: keras.Model) -> tuple[int, int]:
    """Return the components of a latent vector, and of a label (0 without labels)."""
    sizes = [int(i.shape[-1]) for i in model.inputs]
    return sizes[0], sizes[1] if len(sizes) > 1 else 0


def class_names(size: int, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of `size` classes: these, or numbers if there are not as many."""
    return tuple(names) if len(names) == size else tuple(str(i) for i in range(size))
