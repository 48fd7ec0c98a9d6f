"""The training images nearest to fakes, against those nearest to images not trained on.

The others are held-out images (`--validation_images`), or else training images, of which each is
compared with all training images but itself. Distances are taken in two spaces: pixels of
thumbnails, and features, which are those of an extractor or else outlines of the thumbnails. Where
training mirrors images, the nearer of an image and its mirror image counts.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from pgan_tf import metrics
from pgan_tf.config import TrainConfig
from pgan_tf.data.held_out import held_out_indices
from pgan_tf.data.order import records_at
from pgan_tf.evaluation.catalog import CATALOG, NEIGHBORS
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.image_sets import ImageSet, PyramidImages
from pgan_tf.evaluation.images import FakeImages, Reals, default_batch_size
from pgan_tf.evaluation.neighbor_spaces import Space, features_digest, open_spaces
from pgan_tf.evaluation.reduced_images import split_as_pyramid
from pgan_tf.metrics import FeatureExtractor, Neighbors, NeighborSearch
from pgan_tf.runs.data_note import difference
from pgan_tf.runs.run_directory import CONFIG_NAME
from tfrecords_tools.command.flagfile import read_flagfile
from tfrecords_tools.errors import UserError
from tfrecords_tools.progress import Progress

USUAL_NUM_IMAGES = 1000
# Neighbors of each image that are found.
_COUNT = 3
# Training images, and images whose neighbors are searched, at a time.
_BLOCK, _GROUP = 4096, 2048
# Keeps the choice of others apart from that of reals.
_OTHERS_SEED = 1 << 21


@dataclasses.dataclass(frozen=True)
class DataSplit:
    """The images that a generator was trained on, and others to compare its fakes with.

    Attributes:
      trained: `[n]` record numbers, ascending.
      others: `[m]` record numbers.
      held_out: whether the others were held out; else they are among the trained.
    """

    trained: np.ndarray
    others: np.ndarray
    held_out: bool


def held_out_records(run: Path | None, config: TrainConfig | None, images: ImageSet) -> np.ndarray:
    """Return the numbers of a pyramid's images that a run has held out; empty for none.

    Warns if the pyramid is not what the run was trained on.

    Args:
      run: its directory; None for a generator outside of a run.
      config: of the run, or None.
      images: the data that its generators are compared with.
    """
    nothing = np.zeros(0, np.int64)
    if run is None or config is None or not isinstance(images, PyramidImages):
        return nothing
    pyramid = images.pyramid
    note = read_flagfile(run / CONFIG_NAME).splitlines()
    if difference(note, pyramid) is not None:
        logging.warning(
            "%s is not the data of the run: %s compares fakes with images that were not trained on",
            pyramid.location,
            NEIGHBORS,
        )
        return nothing
    return held_out_indices(pyramid.count, config.data.validation_images)


def split_data(images: ImageSet, held_out: np.ndarray, *, count: int, seed: int) -> DataSplit:
    """Return the training images, and up to `count` others.

    Args:
      images: the data.
      held_out: numbers of images that were not trained on; empty for none.
      count: the most others.
      seed: of their choice.

    Raises:
      UserError: there are too few training images.
    """
    trained = np.setdiff1d(np.arange(images.count), held_out)
    if len(trained) < 2:
        raise UserError(
            f"{NEIGHBORS} needs at least 2 training images. Received: {len(trained)}, in "
            f"{images.path}"
        )
    pool = held_out if len(held_out) else trained
    positions = np.arange(min(count, len(pool)), dtype=np.int64)
    chosen = records_at(positions, count=len(pool), seed=seed + _OTHERS_SEED)
    return DataSplit(trained, pool[chosen], held_out=bool(len(held_out)))


class Found(NamedTuple):
    """The training images nearest to n images, in one space.

    Attributes:
      neighbors: by record numbers.
      mirrored: `[n k]` bool, whether the mirror image of the training image is meant.
    """

    neighbors: Neighbors
    mirrored: np.ndarray

    @property
    def distances(self) -> np.ndarray:
        """Distances `[n]` to the nearest."""
        return self.neighbors.distances[:, 0]


# By the name of the space, "pixels" first.
FoundBySpace = Mapping[str, Found]
_Described = Mapping[str, list[np.ndarray]]


class NeighborReport(NamedTuple):
    """The neighbors of a generator's images and of others, and what they say.

    Attributes:
      values: by name, as of every metric.
      spread: of the values, by name.
      fakes: neighbors of the fakes.
      others: neighbors of the images that fakes are compared with.
    """

    values: dict[str, float]
    spread: dict[str, float]
    fakes: FoundBySpace
    others: FoundBySpace


class NeighborFinder:
    """Finds the training images nearest to a generator's images and to others.

    Attributes:
      reals: the data, and whether training mirrors it.
      split: the images that fakes are compared with.
      num_images: number of fakes.
    """

    def __init__(
        self,
        reals: Reals,
        held_out: np.ndarray,
        *,
        num_images: int,
        cache: FeatureCache,
        extractor: FeatureExtractor | None,
        replicates: int = 0,
    ):
        """Compute nothing yet.

        Args:
          reals: the data.
          held_out: record numbers that were not trained on; empty for none.
          num_images: number of fakes, and of others if there are as many.
          cache: of the features of the data.
          extractor: of features; None for outlines.
          replicates: of the bootstrap, for the spread of values over fakes; 0 for none.

        Raises:
          UserError: there are too few training images, or they are of a size that no pyramid has.
        """
        split_as_pyramid(reals.images, NEIGHBORS)
        self.reals = reals
        self.num_images = num_images
        self.split = split_data(reals.images, held_out, count=num_images, seed=reals.seed)
        self._cache = cache
        self._extractor = extractor
        self._replicates = replicates
        self._others: FoundBySpace | None = None
        self._spaces: dict[str, Space] | None = None

    @property
    def depends_on(self) -> str:
        """The features and the held-out images, as a text that changes with them."""
        count = self.reals.count - len(self.split.trained)
        return f"{features_digest(self._extractor)}, {count} held out"

    def evaluate(self, fakes: FakeImages, *, label: str = "fakes") -> NeighborReport:
        """Find the neighbors of a generator's images and compare their distances.

        Args:
          fakes: its images.
          label: text of the progress bar.

        Raises:
          UserError: its images are not finite, a record is damaged, or the disk is full.
        """
        if self._others is None:
            split = self.split
            own = None if split.held_out else np.searchsorted(split.trained, split.others)
            self._others = self._search(self._read_others(), len(split.others), "others", own)
        drawn = fakes.read_with_alpha(self.num_images)
        found = self._search(drawn, self.num_images, label)
        of_others, of_fakes = (
            {name: each.distances for name, each in of.items()} for of in (self._others, found)
        )
        compared = CATALOG[NEIGHBORS].compare(
            of_others, of_fakes, self.reals.seed, self._replicates
        )
        return NeighborReport(*compared, found, self._others)

    def _search(
        self,
        batches: Iterable[np.ndarray],
        count: int,
        label: str,
        own: np.ndarray | None = None,
    ) -> FoundBySpace:
        """Find the neighbors of images `[b h w c]` uint8.

        Args:
          batches: the images.
          count: their number.
          label: text of the progress bar.
          own: `[count]` the number of each image among those trained on; None if it is not there.
        """
        if self._spaces is None:
            self._spaces = open_spaces(self.reals, extractor=self._extractor, cache=self._cache)
        spaces = self._spaces
        groups: dict[str, list[Found]] = {name: [] for name in spaces}
        with Progress(count, "images", f"neighbors of {label}", keep=False) as progress:
            start = 0
            # Vectors are kept, and not the images, which may be far larger.
            for group in _grouped((self._described(spaces, batch) for batch in batches), _GROUP):
                size = sum(map(_size, group))
                own_of_group = None if own is None else own[start : start + size]
                for name, space in spaces.items():
                    queries = zip(*(described[name] for described in group), strict=True)
                    vectors = [np.concatenate(parts) for parts in queries]
                    groups[name].append(self._search_space(space, vectors, own_of_group))
                start += size
                progress.update(size)
        return {name: _joined(found) for name, found in groups.items()}

    def _described(self, spaces: Mapping[str, Space], batch: np.ndarray) -> _Described:
        """Return the vectors `[b d]` of images by space, and after them those of mirrored ones."""
        # As far as the image is from a mirrored training image, its mirror image is from the
        # training image itself; there are far fewer of the former.
        views = [batch, batch[:, :, ::-1]] if self.reals.mirror else [batch]
        return {name: [*map(space.of_images, views)] for name, space in spaces.items()}

    def _search_space(
        self, space: Space, queries: list[np.ndarray], own: np.ndarray | None
    ) -> Found:
        trained = self.split.trained
        k = min(_COUNT, len(trained) - (own is not None))
        searches = [NeighborSearch(vectors, k) for vectors in queries]
        for start in range(0, len(trained), _BLOCK):
            block = space.of_records(trained[start : start + _BLOCK])
            for search in searches:
                search.add(block)
        nearest, *of_mirrored = (
            search.nearest(lambda numbers: space.of_records(trained[numbers]), own)
            for search in searches
        )
        is_mirrored = np.zeros(nearest.indices.shape, bool)
        if of_mirrored:
            nearest, is_mirrored = metrics.nearer_of(nearest, of_mirrored[0])
        return Found(nearest._replace(indices=trained[nearest.indices]), is_mirrored)

    def _read_others(self) -> Iterator[np.ndarray]:
        size = default_batch_size(math.prod(self.reals.size))
        for start in range(0, len(self.split.others), size):
            yield self.reals.images.read(self.split.others[start : start + size])


def _size(described: _Described) -> int:
    return len(next(iter(described.values()))[0])


def _grouped(batches: Iterable[_Described], least: int) -> Iterator[list[_Described]]:
    """Yield batches in lists of `least` images or more; the last may have fewer."""
    group: list[_Described] = []
    for batch in batches:
        group.append(batch)
        if sum(map(_size, group)) >= least:
            yield group
            group = []
    if group:
        yield group


def _joined(found: list[Found]) -> Found:
    neighbors = Neighbors(
        *(np.concatenate(arrays) for arrays in zip(*(f.neighbors for f in found), strict=True))
    )
    return Found(neighbors, np.concatenate([f.mirrored for f in found]))
