"""The metrics by name: the features, the number of images, and the values of each.

Extraction and comparison are separate. Features (patches, similarities of pairs, an extractor's
features, the numbers in images) are extracted from one set of images; a metric compares the
features of two sets. So several metrics share the same features, and those of the reals are
extracted once.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pgan_tf import metrics
from tfrecords_tools.errors import UserError
from tfrecords_tools.shape import parse_size

# Named arrays, with one or several rows per image, in the order of the images.
ImageFeatures = Mapping[str, np.ndarray]

# The metric that compares with all training images; `neighbors.py` finds the distances.
NEIGHBORS = "neighbors"


class Compared(NamedTuple):
    """The values of a metric.

    Attributes:
      values: by name; the first word of each name is the metric's.
      spread: standard deviation of values over other fakes, by name; empty without replicates.
    """

    values: dict[str, float]
    spread: dict[str, float]


# (features of reals, features of fakes, seed, replicates) -> the values, and with replicates their
# spread.
Compare = Callable[[ImageFeatures, ImageFeatures, int, int], Compared]


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
      compare: compares features; without replicates, or with one, there is no spread.
      headline: name of the value by which generators are ranked.
      higher_is_better: whether a higher headline is better.
      needs_logits: whether the extractor must be a classifier.
      equal_sets: whether there must be as many reals as fakes.
      method: number of images of the smaller set -> a text that changes when values of as many do
        from one version to the next; None as long as they are those of the first.
    """

    name: str
    feature_kind: str
    num_images: int
    min_images: int
    min_side: int
    compare: Compare
    headline: str
    higher_is_better: bool = False
    needs_logits: bool = False
    equal_sets: bool = False
    method: Callable[[int], str | None] = lambda count: None

    def better(self, value: float, than: float, by: float = 0.0) -> bool:
        """Return whether a headline is better than another by more than a margin; never if NaN."""
        gain = value - than if self.higher_is_better else than - value
        return gain > by


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


def combined_spread(*spreads: float | None) -> float:
    """Return the spread of a difference of values, each with a spread, or none known."""
    return math.hypot(*(spread or 0.0 for spread in spreads))


def _compare_patches(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    channels = next(iter(reals.values())).shape[1] // metrics.PATCH_SIZE**2
    levels = sorted(reals, key=_pixels, reverse=True)
    by_level = [{level: m[level] for level in levels} for m in (reals, fakes)]
    values = metrics.swd(*by_level, channels=channels, seed=seed)
    spread = {}
    if replicates > 1 and len(by_level[1][levels[0]]) >= 2 * metrics.PATCHES_PER_IMAGE:
        spread = metrics.swd_spread(*by_level, channels=channels, seed=seed, replicates=replicates)
    return _named("swd/", values, spread)


def _pixels(level: str) -> int:
    """Return the pixels of an image at a level by its name, `64` or `96x64`."""
    return math.prod(parse_size(level) or ())


def _named(prefix: str, values: Mapping[str, float], spread: Mapping[str, float]) -> Compared:
    return Compared(*({f"{prefix}{name}": v for name, v in of.items()} for of in (values, spread)))


def _compare_similarities(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    ours, theirs = (m["similarities"].astype(np.float64) for m in (fakes, reals))
    expected = float(np.mean(theirs))

    def values(rows: np.ndarray | slice) -> dict[str, float]:
        similarity = float(np.mean(ours[rows]))
        return {"ms_ssim": similarity, "ms_ssim/gap": abs(similarity - expected)}

    spread = metrics.bootstrap(values, len(ours), replicates=replicates, seed=seed)
    return Compared(values(slice(None)), spread)


def _compare_statistics(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    features = fakes["features"]
    ours, theirs = (metrics.feature_statistics(m) for m in (features, reals["features"]))
    if replicates < 2:
        return Compared({"fid": metrics.frechet_distance(theirs, ours)}, {})
    distance, spread = metrics.frechet_distance_and_spread(theirs, ours, features)
    return Compared({"fid": distance}, {"fid": spread})


def _score(reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int) -> Compared:
    mean, deviation = metrics.inception_score(fakes["logits"])
    spread = {}
    if replicates > 1:
        spread["is"] = metrics.inception_score_spread(
            fakes["logits"], replicates=replicates, seed=seed
        )
    return Compared({"is": mean, "is/std": deviation}, spread)


def _compare_kernels(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    found = metrics.estimate_kernel_distance(reals["features"], fakes["features"], seed=seed)
    values = {"kid": found.mean}
    # Fewer than four images are all in one subset: then no deviation is known.
    if not math.isnan(found.std):
        values["kid/std"] = found.std
    return Compared(values, {"kid": found.spread} if replicates > 1 else {})


def _kernel_method(count: int) -> str | None:
    # Earlier versions took subsets of 1000, or of all images.
    return None if count >= 2 * metrics.MOST_PER_SUBSET else "subsets of half of the images"


def _compare_manifolds(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    found = metrics.compare_manifolds(reals["features"], fakes["features"])
    values = {"precision": found.precision, "recall": found.recall, "f1": found.f1}
    return _named("precision_recall/", values, found.spread() if replicates > 1 else {})


def _compare_densities(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    found = metrics.density_coverage(reals["features"], fakes["features"])
    values = {"density": found.density, "coverage": found.coverage}
    return _named("density_coverage/", values, found.spread() if replicates > 1 else {})


def _count_modes(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    numbers = fakes["numbers"]

    def values(rows: np.ndarray | slice) -> dict[str, float]:
        hit, divergence = metrics.mode_coverage(numbers[rows])
        return {"modes/hit": float(hit), "modes/kl": divergence}

    spread = metrics.bootstrap(values, len(numbers), replicates=replicates, seed=seed)
    return Compared(values(slice(None)), spread)


def _compare_distances(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    found = Compared({}, {})
    for space, distances in fakes.items():
        values = functools.partial(_memorization, distances, reals[space])
        spread = metrics.bootstrap(values, len(distances), replicates=replicates, seed=seed)
        for mapping, more in zip(found, (values(slice(None)), spread), strict=True):
            mapping.update({f"{NEIGHBORS}/{space}/{name}": v for name, v in more.items()})
    return found


def _memorization(
    fakes: np.ndarray, others: np.ndarray, rows: np.ndarray | slice
) -> dict[str, float]:
    return metrics.memorization(fakes[rows], others)


_ALL = (
    Metric("swd", "patches", 16384, 1, 16, _compare_patches, "swd/average", equal_sets=True),
    # 10,000 pairs. Neither low nor high is good in itself: reals are similar to some degree.
    Metric("ms_ssim", "similarities", 20000, 2, 16, _compare_similarities, "ms_ssim/gap"),
    Metric("fid", "features", 50000, 2, 1, _compare_statistics, "fid"),
    Metric("is", "features", 50000, 20, 1, _score, "is", higher_is_better=True, needs_logits=True),
    Metric("kid", "features", 50000, 2, 1, _compare_kernels, "kid", method=_kernel_method),
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
    Metric(
        "density_coverage",
        "features",
        50000,
        6,
        1,
        _compare_densities,
        "density_coverage/coverage",
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
