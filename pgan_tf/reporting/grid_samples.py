"""The samples in a run's grids: the same reals, labels and latents every time."""

import numpy as np

from pgan_tf.config import TrainConfig
from pgan_tf.data.order import records_at
from pgan_tf.runs.grids import (
    Generate,
    draw_latents,
    enlarge,
    generate_images,
    grid_size,
    make_grid,
    to_display,
)
from tfrecords_tools.format import Pyramid

# Keeps the latents of the grids apart from the noise that networks are trained with.
_LATENTS_SEED = 1000
_MAX_ROWS_OF_CLASSES = 16


class GridSamples:
    """Chooses the samples of a run's grids, and draws the grids.

    With up to 16 classes, each row shows one class.
    """

    def __init__(self, config: TrainConfig, pyramid: Pyramid):
        """Choose the samples; they depend on the data and the seed alone.

        Args:
          config: with the values filled in that come from the data.
          pyramid: the data.
        """
        self._pyramid = pyramid
        self._seed = config.run.seed
        self._resolution = config.network.final_resolution
        self._label_size = config.network.label_size
        self._one_hot = self._label_size > 0 and _is_one_hot(pyramid.labels)
        self._height, width = config.network.image_size(self._resolution)
        classes = self._label_size if self._one_hot else 0
        self._columns, rows = grid_size(self._height, width, classes)
        self._records = self._choose_reals(rows)
        self._latents = draw_latents(
            len(self._records), config.network.resolved_latent_size, seed=_LATENTS_SEED + self._seed
        )
        self._labels = None
        if self._label_size and pyramid.labels is not None:
            self._labels = pyramid.labels_of(self._records)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels; empty if they have no names, or there are no labels."""
        return (self._pyramid.label_names or ()) if self._label_size else ()

    @property
    def label_rows(self) -> list[list[float]]:
        """Labels of real images to generate with, if labels are not classes; empty if they are."""
        return [] if self._one_hot or self._labels is None else self._labels.tolist()

    def draw_reals(self) -> np.ndarray:
        """Draw the grid of reals at the final resolution, `[h w 1 or 3]` uint8."""
        images = self._pyramid.level(self._resolution).read(self._records).transpose(0, 2, 3, 1)
        return make_grid(to_display(images), self._columns)

    def draw_fakes(self, generate: Generate, *, batch_size: int) -> np.ndarray:
        """Draw a grid of fakes, enlarged to the final resolution, `[h w 1 or 3]` uint8."""
        images = np.concatenate(
            list(generate_images(generate, self._latents, self._labels, batch_size=batch_size))
        )
        enlarged = enlarge(images, self._height // images.shape[1])
        return make_grid(to_display(enlarged), self._columns)

    def _choose_reals(self, rows: int) -> np.ndarray:
        """Return record numbers, the first in training order; with few classes, a row of each."""
        count, labels = self._pyramid.count, self._pyramid.labels
        if labels is None or not self._one_hot or self._label_size > _MAX_ROWS_OF_CLASSES:
            positions = np.arange(self._columns * rows, dtype=np.int64)
            return records_at(positions, count=count, seed=self._seed)
        order = records_at(np.arange(count, dtype=np.int64), count=count, seed=self._seed)
        classes = np.argmax(labels, axis=1)[order]
        chosen = []
        for label in range(self._label_size):
            members = order[classes == label]
            # The row of a class without images shows images of the other classes.
            chosen.append(np.resize(members if len(members) else order, self._columns))
        return np.concatenate(chosen)


def _is_one_hot(labels: np.ndarray | None) -> bool:
    """Return whether every row of labels `[n classes]` is one-hot."""
    if labels is None:
        return False
    return bool(((labels == 1).sum(axis=1) == 1).all() and ((labels == 0) | (labels == 1)).all())
