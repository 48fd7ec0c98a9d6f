"""The metrics by name: the features, the number of images, and the values of each.

Extraction and comparison are separate. Features (patches, similarities of pairs, an extractor's
features, the numbers in images) are extracted from one set of images; a metric compares the
features of two sets. So several metrics share the same features, and those of the reals are
extracted once.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pgan_tf import metrics
from tfrecords_tools.errors import UserError
from tfrecords_tools.shape import parse_size

# Named arrays, with one or several rows per image, in the order of the images.
ImageFeatures = Mapping[str, np.ndarray]

# The metric that compares with all training images; `neighbors.py` finds the distances.
NEIGHBORS = "neighbors"


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
      name: as in `--metrics`.
      feature_kind: the features that it compares, a key of `extraction.ACCUMULATORS`; or
        "distances" to the nearest training images, by the name of the space.
      num_images: the usual number of images; values of other numbers can't be compared with it.
      min_images: the fewest images that make sense.
      min_side: the shorter side of the smallest images, in pixels.
      compare: (features of reals, features of fakes, seed) -> values by name; the first word of
        each name is the metric's.
      headline: name of the value by which generators are ranked.
      higher_is_better: whether a higher headline is better.
      needs_logits: whether the extractor must be a classifier.
      equal_sets: whether there must be as many reals as fakes.
    """

    name: str
    feature_kind: str
    num_images: int
    min_images: int
    min_side: int
    compare: Callable[[ImageFeatures, ImageFeatures, int], dict[str, float]]
    headline: str
    higher_is_better: bool = False
    needs_logits: bool = False
    equal_sets: bool = False

    def better(self, value: float, than: float) -> bool:
        """Return whether a headline is better than another; never if equal or NaN."""
        return value > than if self.higher_is_better else value < than


def find_metrics(names: Sequence[str], flag: str = "metrics") -> tuple[Metric, ...]:
    """Return the metrics of these names, each once.

    Args:
      names: as typed.
      flag: name of the flag with the names, for errors.

    Raises:
      UserError: there are no names, or an unknown one.
    """
    known = ", ".join(CATALOG)
    if not names:
        raise UserError(f"--{flag} must name metrics, of {known}. Received: none")
    for name in names:
        if name not in CATALOG:
            raise UserError(f"--{flag} must be of {known}. Received: {name}")
    return tuple(CATALOG[name] for name in dict.fromkeys(names))


def _compare_patches(reals: ImageFeatures, fakes: ImageFeatures, seed: int) -> dict[str, float]:
    channels = next(iter(reals.values())).shape[1] // metrics.PATCH_SIZE**2
    levels = sorted(reals, key=_pixels, reverse=True)
    by_level = [{level: m[level] for level in levels} for m in (reals, fakes)]
    distances = metrics.swd(*by_level, channels=channels, seed=seed)
    return {f"swd/{name}": value for name, value in distances.items()}


def _pixels(level: str) -> int:
    """Return the pixels of an image at a level by its name, `64` or `96x64`."""
    return math.prod(parse_size(level) or ())


def _compare_similarities(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int
) -> dict[str, float]:
    ours, theirs = (float(np.mean(m["similarities"])) for m in (fakes, reals))
    return {"ms_ssim": ours, "ms_ssim/gap": abs(ours - theirs)}


def _compare_statistics(reals: ImageFeatures, fakes: ImageFeatures, seed: int) -> dict[str, float]:
    statistics = [metrics.feature_statistics(m["features"]) for m in (reals, fakes)]
    return {"fid": metrics.frechet_distance(*statistics)}


def _score(reals: ImageFeatures, fakes: ImageFeatures, seed: int) -> dict[str, float]:
    mean, deviation = metrics.inception_score(fakes["logits"])
    return {"is": mean, "is/std": deviation}


def _compare_kernels(reals: ImageFeatures, fakes: ImageFeatures, seed: int) -> dict[str, float]:
    mean, deviation = metrics.kernel_distance(reals["features"], fakes["features"], seed=seed)
    # Few images are all in one subset: then no deviation is known.
    return {"kid": mean} if math.isnan(deviation) else {"kid": mean, "kid/std": deviation}


def _compare_manifolds(reals: ImageFeatures, fakes: ImageFeatures, seed: int) -> dict[str, float]:
    precision, recall = metrics.precision_recall(reals["features"], fakes["features"])
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "precision_recall/precision": precision,
        "precision_recall/recall": recall,
        "precision_recall/f1": f1,
    }


def _count_modes(reals: ImageFeatures, fakes: ImageFeatures, seed: int) -> dict[str, float]:
    hit, divergence = metrics.mode_coverage(fakes["numbers"])
    return {"modes/hit": float(hit), "modes/kl": divergence}


def _compare_distances(reals: ImageFeatures, fakes: ImageFeatures, seed: int) -> dict[str, float]:
    return {
        f"{NEIGHBORS}/{space}/{name}": value
        for space, distances in fakes.items()
        for name, value in metrics.memorization(distances, reals[space]).items()
    }


_ALL = (
    Metric("swd", "patches", 16384, 1, 16, _compare_patches, "swd/average", equal_sets=True),
    # 10,000 pairs. Neither low nor high is good in itself: reals are similar to some degree.
    Metric("ms_ssim", "similarities", 20000, 2, 16, _compare_similarities, "ms_ssim/gap"),
    Metric("fid", "features", 50000, 2, 1, _compare_statistics, "fid"),
    Metric("is", "features", 50000, 20, 1, _score, "is", higher_is_better=True, needs_logits=True),
    Metric("kid", "features", 50000, 2, 1, _compare_kernels, "kid"),
    Metric(
        "precision_recall",
        "features",
        50000,
        4,
        1,
        _compare_manifolds,
        "precision_recall/f1",
        higher_is_better=True,
    ),
    Metric("modes", "numbers", 25600, 1, 1, _count_modes, "modes/kl"),
    Metric(
        NEIGHBORS,
        "distances",
        1000,
        1,
        1,
        _compare_distances,
        f"{NEIGHBORS}/pixels/below_1_percent",
    ),
)
CATALOG = {metric.name: metric for metric in _ALL}
