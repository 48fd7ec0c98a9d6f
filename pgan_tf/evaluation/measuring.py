"""Taking measurements of images that come batch by batch, in bounded memory."""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from pgan_tf import metrics
from pgan_tf.evaluation.catalogue import Measured
from pgan_tf.metrics import DigitClassifier, FeatureExtractor

# (name, shape) -> a float32 array of that shape to be filled, in memory or mapped from a file.
Allocate = Callable[[str, tuple[int, int]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """What a gauge needs to know of images before they come.

    Attributes:
      count: how many will come.
      resolution: their side in pixels.
      channels: 1 or 3.
      seed: for whatever is drawn at random of them.
    """

    count: int
    resolution: int
    channels: int
    seed: int


class Extractor(Protocol):
    """What looks at images for a gauge: a `FeatureExtractor` or a `DigitClassifier`."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...


class Gauge(Protocol):
    """Measures `count` images."""

    def add(self, images: np.ndarray) -> None:
        """Takes in `[b h w c]` uint8 images; what comes after `count` images is left out."""
        ...

    def finish(self) -> Measured: ...


class PatchGauge:
    """Patches for the sliced Wasserstein distance, one array a resolution."""

    def __init__(self, images: ImageSet, allocate: Allocate, extractor: None):
        self._left = images.count
        self._sampler = metrics.PatchSampler(
            images.count,
            images.resolution,
            images.channels,
            seed=images.seed,
            allocate=lambda level, shape: allocate(str(level), shape),
        )

    def add(self, images: np.ndarray) -> None:
        images = images[: self._left]
        self._left -= len(images)
        self._sampler.add(images)

    def finish(self) -> Measured:
        return {str(level): patches for level, patches in self._sampler.finish().items()}


class SimilarityGauge:
    """MS-SSIM of images 0 and 1, 2 and 3, and so on. An odd one at the end is left out."""

    # Images of a task, small enough to share out a batch of large images.
    _PAIRS_A_TASK = 4

    def __init__(self, images: ImageSet, allocate: Allocate, extractor: None):
        self._left = images.count // 2 * 2
        self._waiting = np.zeros([0, images.resolution, images.resolution, images.channels])
        self._found: list[np.ndarray] = []

    def add(self, images: np.ndarray) -> None:
        images = images[: self._left]
        self._left -= len(images)
        if len(self._waiting):
            images = np.concatenate([self._waiting, images])
        paired = len(images) // 2 * 2
        self._waiting = images[paired:]
        step = 2 * self._PAIRS_A_TASK
        parts = [images[start : min(start + step, paired)] for start in range(0, paired, step)]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            self._found += pool.map(lambda part: metrics.ms_ssim(part[::2], part[1::2]), parts)

    def finish(self) -> Measured:
        return {"similarities": np.concatenate(self._found)}


class FeatureGauge:
    """An extractor's features, and logits where it is a classifier."""

    def __init__(self, images: ImageSet, allocate: Allocate, extractor: FeatureExtractor):
        self._left = images.count
        self._extractor = extractor
        self._features: list[np.ndarray] = []
        self._logits: list[np.ndarray] = []

    def add(self, images: np.ndarray) -> None:
        images = images[: self._left]
        self._left -= len(images)
        if not len(images):
            return
        if images.shape[3] == 1:
            images = images.repeat(3, axis=3)
        found = self._extractor(images)
        self._features.append(found.features)
        if found.logits is not None:
            self._logits.append(found.logits)

    def finish(self) -> Measured:
        measured = {"features": np.concatenate(self._features)}
        if self._logits:
            measured["logits"] = np.concatenate(self._logits)
        return measured


class NumberGauge:
    """The numbers from 000 to 999 that MNIST-RGB images show, as a classifier of digits reads."""

    def __init__(self, images: ImageSet, allocate: Allocate, extractor: DigitClassifier):
        self._left = images.count
        self._classify = extractor
        self._numbers: list[np.ndarray] = []

    def add(self, images: np.ndarray) -> None:
        images = images[: self._left]
        self._left -= len(images)
        self._numbers.append(metrics.read_numbers(images, self._classify))

    def finish(self) -> Measured:
        return {"numbers": np.concatenate(self._numbers)}


GAUGES: Mapping[str, Callable[[ImageSet, Allocate, Any], Gauge]] = {
    "patches": PatchGauge,
    "similarities": SimilarityGauge,
    "features": FeatureGauge,
    "numbers": NumberGauge,
}
# Rows of a measured array for each image, as a fraction where two images make a row.
ROWS_PER_IMAGE = {
    "patches": metrics.PATCHES_PER_IMAGE,
    "similarities": 0.5,
    "features": 1,
    "numbers": 1,
}


def settings_of(measurement: str, extractor: Extractor | None) -> dict[str, Any]:
    """What a measurement depends on beside the images, for the keys of caches."""
    if extractor is not None:
        return {"extractor": extractor.digest}
    if measurement == "patches":
        return {"patches_per_image": metrics.PATCHES_PER_IMAGE, "patch_size": metrics.PATCH_SIZE}
    return {}


def first_images(measurement: str, measured: Measured, count: int) -> Measured:
    """What was measured of the first `count` images alone."""
    rows = int(count * ROWS_PER_IMAGE[measurement])
    return {name: array[:rows] for name, array in measured.items()}


def measure(
    gauges: Sequence[Gauge], batches: Iterable[np.ndarray], progress: Callable[[int], object]
) -> None:
    """Shows every batch to every gauge.

    Args:
      gauges: in any number.
      batches: `[b h w c]` uint8; the next one is made while one is measured.
      progress: called with the number of images of each batch.
    """
    remaining = iter(batches)
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        upcoming = pool.submit(next, remaining, None)
        while (images := upcoming.result()) is not None:
            upcoming = pool.submit(next, remaining, None)
            for gauge in gauges:
                gauge.add(images)
            progress(len(images))
