"""Nearest neighbors of images among training images, and what their distances say of copies.

A generator that has learned its training images by heart draws images that lie nearer to them than
other images of the same kind do. What "near" means depends on the space: pixels find copies,
outlines (gradients in eight directions, after Dalal and Triggs 2005) also copies of other
brightness and contrast.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfrecords_tools.errors import UserError

DIRECTIONS = 8
_CELLS = 8  # along the shorter side, or more, in which the gradients of outlines are summed
_EPSILON = 1e-3  # of gradients in gray values from 0 to 1

# Candidates beyond those that are wanted: their distances are exact only in the end.
_EXTRA = 4
_QUERIES = 1024  # at a time; a block of products with as many rows of 4096 is 16 MB
_GATHERED = 1 << 22  # numbers
_BATCH = 128  # images


class Neighbors(NamedTuple):
    """The nearest of other images, nearest first, for n images.

    Attributes:
      indices: `[n k]` int64, of the others.
      distances: `[n k]` float64.
    """

    indices: np.ndarray
    distances: np.ndarray


class NeighborSearch:
    """Candidates for the nearest neighbors of vectors, among others that come block by block.

    Products in float32 choose candidates; `nearest` then computes their distances exactly, so that
    a copy is at distance 0. Memory holds the vectors, one block of the others, and some products.
    """

    def __init__(self, queries: np.ndarray, k: int):
        """Search nothing yet.

        Args:
          queries: `[n d]` float32, finite.
          k: number of neighbors that are wanted.
        """
        self._queries = queries
        self._k = k
        # Centering leaves distances as they are, and loses less to rounding.
        self._center = queries.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._centered = queries - self._center
        self._seen = 0
        self._scores = np.zeros([len(queries), 0], np.float32)
        self._indices = np.zeros([len(queries), 0], np.int64)

    def add(self, others: np.ndarray) -> None:
        """Search a block `[b d]` float32, whose indices follow those of the block before."""
        centered = others - self._center
        norms = np.einsum("nd,nd->n", centered, centered)
        numbers = np.arange(self._seen, self._seen + len(others))
        self._seen += len(others)
        kept = min(self._k + _EXTRA, self._seen)
        scores = np.empty([len(self._queries), kept], np.float32)
        indices = np.empty([len(self._queries), kept], np.int64)
        for start in range(0, len(self._queries), _QUERIES):
            rows = slice(start, start + _QUERIES)
            # Squared distances, but for the norm of the query.
            found = norms - 2 * (self._centered[rows] @ centered.T)
            chosen = _smallest(found, kept)
            among = np.concatenate(
                [self._scores[rows], np.take_along_axis(found, chosen, axis=1)], axis=1
            )
            of = np.concatenate([self._indices[rows], numbers[chosen]], axis=1)
            best = _smallest(among, kept)
            scores[rows] = np.take_along_axis(among, best, axis=1)
            indices[rows] = np.take_along_axis(of, best, axis=1)
        self._scores, self._indices = scores, indices

    def nearest(
        self, vectors_of: Callable[[np.ndarray], np.ndarray], own: np.ndarray | None = None
    ) -> Neighbors:
        """Return the nearest of all vectors that were searched.

        Args:
          vectors_of: indices `[m]` to the vectors `[m d]` that were searched.
          own: `[n]`, an index for each query that is not its neighbor; None for none.

        Returns:
          k neighbors, or as many as there are.
        """
        exact = np.empty(self._indices.shape, np.float64)
        step = max(1, _GATHERED // max(1, self._indices.shape[1] * self._queries.shape[1]))
        for start in range(0, len(exact), step):
            rows = slice(start, start + step)
            asked, inverse = np.unique(self._indices[rows], return_inverse=True)
            others = vectors_of(asked)[inverse.reshape(self._indices[rows].shape)]
            differences = others.astype(np.float64) - self._queries[rows, None]
            exact[rows] = np.sqrt(np.einsum("nkd,nkd->nk", differences, differences))
        available = self._seen
        if own is not None:
            exact[self._indices == own[:, None]] = np.inf
            available -= 1
        order = np.argsort(exact, axis=1, kind="stable")[:, : min(self._k, available)]
        return Neighbors(
            np.take_along_axis(self._indices, order, axis=1),
            np.take_along_axis(exact, order, axis=1),
        )


def nearer_of(a: Neighbors, b: Neighbors) -> tuple[Neighbors, np.ndarray]:
    """Return the nearest of two searches of the same images, such as of mirrored ones.

    Args:
      a: of one search.
      b: of the other, with as many neighbors.

    Returns:
      As many neighbors, each image once; and `[n k]` bool, True where one is from `b`.
    """
    k = a.indices.shape[1]
    indices, distances = (np.concatenate(pair, axis=1) for pair in zip(a, b, strict=True))
    order = np.argsort(distances, axis=1, kind="stable")
    sorted_indices = np.take_along_axis(indices, order, axis=1)
    # The second of the same image, which is the farther of the two, goes to the end.
    earlier = sorted_indices[:, None, :] == sorted_indices[:, :, None]
    repeated = np.tril(earlier, -1).any(axis=2)
    order = np.take_along_axis(order, np.argsort(repeated, axis=1, kind="stable"), axis=1)[:, :k]
    nearest = Neighbors(
        np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)
    )
    return nearest, order >= k


def outlines(images: np.ndarray) -> np.ndarray:
    """Return descriptors of outlines, of unit length unless an image is flat.

    Smoothed gray values have their gradients split into eight directions, of which the positive
    parts are averaged over 8x8 cells; of rectangles, over squares of a power of two, 8 or more
    along the shorter side. Each cell is divided by the strength of the gradients in the
    3x3 cells around it, together with that of the whole image: brightness and contrast make no
    difference, and the noise of flat parts little.

    Args:
      images: `[b h w c]` uint8; squares have a power of two as their side.

    Returns:
      `[b d]` float32, d = 8 times the number of cells; smaller images have a cell a pixel.
    """
    # Few at a time, so that what is computed of them stays in a processor's cache.
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    return np.concatenate([_outlines(batch) for batch in batches])


def _outlines(images: np.ndarray) -> np.ndarray:
    gray = images.mean(axis=3, dtype=np.float32) / 255
    padded = np.pad(_smoothed(gray), [(0, 0), (1, 1), (1, 1)], mode="edge")
    x = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    y = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    count, height, width = gray.shape
    cell = _cell_side(height, width)
    rows, columns = height // cell, width // cell
    histogram = np.empty([count, rows, columns, DIRECTIONS], np.float32)
    for number in range(DIRECTIONS // 2):
        angle = 2 * np.pi * number / DIRECTIONS
        along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
        for direction, part in ((number, along), (number + DIRECTIONS // 2, -along)):
            means = np.maximum(part, 0).reshape(count, rows, cell, width).mean(axis=2)
            histogram[..., direction] = means.reshape(count, rows, columns, -1).mean(axis=3)
    energy = np.pad((histogram**2).sum(axis=3), [(0, 0), (1, 1), (1, 1)])
    around = np.zeros_like(energy[:, 1:-1, 1:-1])
    for top, left in np.ndindex(3, 3):
        around += energy[:, top : top + rows, left : left + columns]
    typical = around.mean(axis=(1, 2), keepdims=True)
    histogram /= np.sqrt(around + typical + _EPSILON**2)[..., None]
    vectors = histogram.reshape(count, -1)
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + _EPSILON)


def _cell_side(height: int, width: int) -> int:
    """Return the largest power of two that leaves 8 whole cells or more along the shorter side."""
    side = 1
    while min(height, width) // (2 * side) >= _CELLS and not (height | width) % (2 * side):
        side *= 2
    return side


def _smoothed(gray: np.ndarray) -> np.ndarray:
    """Return images `[b h w]` smoothed by 1/4, 1/2, 1/4 in both directions, against noise."""
    padded = np.pad(gray, [(0, 0), (1, 1), (1, 1)], mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4


def memorization(fakes: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """Compare distances to training images: those of fakes with those of other images.

    Args:
      fakes: `[n]` distances of fakes to their nearest training images.
      others: `[m]` distances of images that were not trained on, to theirs.

    Returns:
      `ratio`: the median of fakes as a fraction of the others' (left out if that is 0);
      `below_1_percent`: the share of fakes that are at least as near as the nearest 1 % of the
      others; `below_all`: the share that are at least as near as the nearest of them.

    Raises:
      UserError: there are no distances.
    """
    if not len(fakes) or not len(others):
        raise UserError("distances of at least one fake and one other image are needed")
    values = {}
    median = float(np.median(others))
    if median:
        values["ratio"] = float(np.median(fakes)) / median
    # The value of an image, so that an exact copy counts even where the others hold one as well.
    low = np.quantile(others, 0.01, method="lower")
    values["below_1_percent"] = float(np.mean(fakes <= low))
    values["below_all"] = float(np.mean(fakes <= np.min(others)))
    return values


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    """Return the columns of the `count` smallest values of each row, in any order."""
    if count >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, count - 1, axis=1)[:, :count]
