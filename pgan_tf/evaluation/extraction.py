"""Features of images that come batch by batch, extracted in bounded memory.

There are four kinds: `patches` for swd, `similarities` for ms_ssim, `features` of an extractor for
fid, is, kid, precision_recall, density_coverage and those by class, and `numbers` for modes.
"""

import abc
import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from pgan_tf import metrics
from pgan_tf.evaluation.catalog import ImageFeatures, Metric
from pgan_tf.metrics import DigitClassifier, FeatureExtractor
from tfrecords_tools.errors import UserError

# The name of features of a network of the user's own, or of another Inception than the published.
OTHER_FEATURES = "other features"

# (name, shape) -> a float32 array of that shape to fill, in memory or mapped from a file.
Allocate = Callable[[str, tuple[int, int]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class ImageSetSpec:
    """The properties of a set of images that an accumulator needs before the first image.

    Attributes:
      count: number of images.
      size: height and width of the images.
      channels: 1 or 3.
      seed: of random draws, such as the positions of patches.
    """

    count: int
    size: tuple[int, int]
    channels: int
    seed: int


class Extractor(Protocol):
    """A network that an accumulator needs: a `FeatureExtractor` or a `DigitClassifier`."""

    @property
    def name(self) -> str:
        """Name for messages."""
        ...

    @property
    def digest(self) -> str:
        """Digest that changes whenever the features may."""
        ...


class FeatureAccumulator(abc.ABC):
    """Extracts one kind of features of a set of images that comes batch by batch."""

    def __init__(self, count: int):
        """Extract nothing yet; `count` is the number of images to extract features of."""
        self._left = count

    def add(self, images: np.ndarray) -> None:
        """Extract features of `[b h w c]` uint8 images; images past `count` are ignored."""
        images = images[: self._left]
        self._left -= len(images)
        if len(images):
            self._extract(images)

    def finish(self) -> ImageFeatures:
        """Return the features of all images."""
        return self._collect()

    @abc.abstractmethod
    def _extract(self, images: np.ndarray) -> None: ...

    @abc.abstractmethod
    def _collect(self) -> ImageFeatures: ...


class PatchAccumulator(FeatureAccumulator):
    """Patches for the sliced Wasserstein distance, one array per level."""

    def __init__(self, images: ImageSetSpec, allocate: Allocate, extractor: None):
        super().__init__(images.count)
        self._sampler = metrics.PatchSampler(
            images.count,
            images.size,
            images.channels,
            seed=images.seed,
            allocate=allocate,
        )

    def _extract(self, images: np.ndarray) -> None:
        self._sampler.add(images)

    def _collect(self) -> ImageFeatures:
        return self._sampler.finish()


class SimilarityAccumulator(FeatureAccumulator):
    """MS-SSIM of images 0 and 1, 2 and 3, and so on; the last of an odd number is left out."""

    # Few enough that even a batch of large images is shared by several threads.
    _PAIRS_PER_TASK = 4

    def __init__(self, images: ImageSetSpec, allocate: Allocate, extractor: None):
        super().__init__(images.count // 2 * 2)
        self._waiting = np.zeros([0, *images.size, images.channels])
        self._similarities: list[np.ndarray] = []

    def _extract(self, images: np.ndarray) -> None:
        if len(self._waiting):
            images = np.concatenate([self._waiting, images])
        paired = len(images) // 2 * 2
        self._waiting = images[paired:]
        step = 2 * self._PAIRS_PER_TASK
        tasks = [images[start : min(start + step, paired)] for start in range(0, paired, step)]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            self._similarities += pool.map(
                lambda task: metrics.ms_ssim(task[::2], task[1::2]), tasks
            )

    def _collect(self) -> ImageFeatures:
        return {"similarities": np.concatenate(self._similarities)}


class NetworkFeatureAccumulator(FeatureAccumulator):
    """An extractor's features, and logits if it is a classifier."""

    def __init__(self, images: ImageSetSpec, allocate: Allocate, extractor: FeatureExtractor):
        super().__init__(images.count)
        self._extractor = extractor
        self._features: list[np.ndarray] = []
        self._logits: list[np.ndarray] = []

    def _extract(self, images: np.ndarray) -> None:
        if images.shape[3] == 1:
            images = images.repeat(3, axis=3)
        extracted = self._extractor(images)
        self._features.append(extracted.features)
        if extracted.logits is not None:
            self._logits.append(extracted.logits)

    def _collect(self) -> ImageFeatures:
        collected = {"features": np.concatenate(self._features)}
        if self._logits:
            collected["logits"] = np.concatenate(self._logits)
        return collected


class NumberAccumulator(FeatureAccumulator):
    """The numbers from 000 to 999 in MNIST-RGB images, as read by a digit classifier."""

    def __init__(self, images: ImageSetSpec, allocate: Allocate, extractor: DigitClassifier):
        super().__init__(images.count)
        self._classify = extractor
        self._numbers: list[np.ndarray] = []

    def _extract(self, images: np.ndarray) -> None:
        self._numbers.append(metrics.read_numbers(images, self._classify))

    def _collect(self) -> ImageFeatures:
        return {"numbers": np.concatenate(self._numbers)}


ACCUMULATORS: Mapping[str, Callable[[ImageSetSpec, Allocate, Any], FeatureAccumulator]] = {
    "patches": PatchAccumulator,
    "similarities": SimilarityAccumulator,
    "features": NetworkFeatureAccumulator,
    "numbers": NumberAccumulator,
}
# Rows per image; a fraction if two images make one row.
ROWS_PER_IMAGE = {
    "patches": metrics.PATCHES_PER_IMAGE,
    "similarities": 0.5,
    "features": 1,
    "numbers": 1,
}


@dataclasses.dataclass(frozen=True)
class ExtractorOptions:
    """The networks that compute features, as flags name them.

    Attributes:
      inception: path of the Inception graph; empty to download it once.
      resize: of images for Inception, "legacy" or "clean".
      features: `module:function` or "dinov2" to use instead of Inception; empty for Inception.
      dinov2: path of DINOv2; empty to download it once.
      digit_classifier: a `.keras` file, for `modes`; empty for none.
    """

    inception: str = ""
    resize: str = "legacy"
    features: str = ""
    dinov2: str = ""
    digit_classifier: str = ""

    @property
    def own_features(self) -> bool:
        """True if a network is named, so that `neighbors` takes its features too."""
        return bool(self.inception or self.features)

    def load_features(self) -> FeatureExtractor:
        """Load the extractor of features; see `load_feature_extractor`."""
        return load_feature_extractor(
            self.inception, self.features, resize=self.resize, dinov2=self.dinov2
        )


def load_extractors(wanted: Sequence[Metric], options: ExtractorOptions) -> dict[str, Extractor]:
    """Load the extractors that metrics need, by kind of features.

    Args:
      wanted: the metrics to compute.
      options: the networks.

    Raises:
      UserError: one can't be loaded.
    """
    kinds = {metric.feature_kind for metric in wanted}
    extractors: dict[str, Extractor] = {}
    if "features" in kinds:
        extractors["features"] = options.load_features()
    if "numbers" in kinds:
        if not options.digit_classifier:
            raise UserError("modes needs --digit_classifier, a .keras file that reads digits")
        extractors["numbers"] = metrics.load_digit_classifier(options.digit_classifier)
    return extractors


def load_feature_extractor(
    inception: str, features: str, *, resize: str = "legacy", dinov2: str = ""
) -> FeatureExtractor:
    """Load the extractor of features.

    Args:
      inception: see `ExtractorOptions`.
      features: likewise.
      resize: likewise.
      dinov2: likewise.

    Raises:
      UserError: it can't be loaded, or the networks contradict each other.
    """
    if dinov2 and features != metrics.DINOV2:
        raise UserError(
            f"--dinov2={dinov2} is for --features={metrics.DINOV2} (--eval_dinov2, while training,"
            f" for --eval_features={metrics.DINOV2}). Received: {features or 'no such features'}"
        )
    if resize != "legacy" and features:
        raise UserError(
            f"--resize={resize} is for Inception. Received: --features={features}, which takes "
            "images as they are"
        )
    if features == metrics.DINOV2:
        return metrics.load_dinov2(dinov2 or None)
    if features:
        return metrics.load_features(features)
    return metrics.load_inception(inception or None, resize=resize)


def features_named(digest: str) -> str:
    """Return the name of an extractor's features by its digest; empty for published Inception's."""
    if digest.startswith(metrics.DINOV2_DIGEST):
        return "features of DINOv2"
    if not digest.startswith(metrics.INCEPTION_SHA256):
        return OTHER_FEATURES
    return "" if digest == metrics.INCEPTION_SHA256 else "--resize=clean"


def feature_settings(kind: str, extractor: Extractor | None) -> dict[str, Any]:
    """Return what features depend on besides the images, for the keys of caches."""
    if extractor is not None:
        return {"extractor": extractor.digest}
    if kind == "patches":
        return {"patches_per_image": metrics.PATCHES_PER_IMAGE, "patch_size": metrics.PATCH_SIZE}
    return {}


def features_of_first(kind: str, features: ImageFeatures, count: int) -> ImageFeatures:
    """Return the features of the first `count` images alone."""
    rows = int(count * ROWS_PER_IMAGE[kind])
    return {name: array[:rows] for name, array in features.items()}


def extract(
    accumulators: Sequence[FeatureAccumulator],
    batches: Iterable[np.ndarray],
    progress: Callable[[int], object],
) -> None:
    """Give every batch to every accumulator.

    Args:
      accumulators: of any number.
      batches: `[b h w c]` uint8; the next batch is made while features of one are extracted.
      progress: called with the number of images of each batch.
    """
    remaining = iter(batches)
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        upcoming = pool.submit(next, remaining, None)
        while (images := upcoming.result()) is not None:
            upcoming = pool.submit(next, remaining, None)
            for accumulator in accumulators:
                accumulator.add(images)
            progress(len(images))
