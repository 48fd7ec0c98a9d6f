"""Comparisons of the features of two sets of images: arrays in, values and their spread out.

Each has the signature `Compare`. Without replicates, or with one, there is no spread.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from pgan_tf import metrics
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


def compare_patches(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare patches by swd."""
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


def compare_similarities(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare similarities of pairs by ms_ssim."""
    ours, theirs = (m["similarities"].astype(np.float64) for m in (fakes, reals))
    expected = float(np.mean(theirs))

    def values(rows: np.ndarray | slice) -> dict[str, float]:
        similarity = float(np.mean(ours[rows]))
        return {"ms_ssim": similarity, "ms_ssim/gap": abs(similarity - expected)}

    spread = metrics.bootstrap(values, len(ours), replicates=replicates, seed=seed)
    return Compared(values(slice(None)), spread)


def compare_statistics(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare features by fid."""
    features = fakes["features"]
    ours, theirs = (metrics.feature_statistics(m) for m in (features, reals["features"]))
    if replicates < 2:
        return Compared({"fid": metrics.frechet_distance(theirs, ours)}, {})
    distance, spread = metrics.frechet_distance_and_spread(theirs, ours, features)
    return Compared({"fid": distance}, {"fid": spread})


def score(reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int) -> Compared:
    """Compute the Inception score of fakes."""
    mean, deviation = metrics.inception_score(fakes["logits"])
    spread = {}
    if replicates > 1:
        spread["is"] = metrics.inception_score_spread(
            fakes["logits"], replicates=replicates, seed=seed
        )
    return Compared({"is": mean, "is/std": deviation}, spread)


def compare_kernels(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare features by kid."""
    found = metrics.estimate_kernel_distance(reals["features"], fakes["features"], seed=seed)
    values = {"kid": found.mean}
    # Fewer than four images are all in one subset: then no deviation is known.
    if not math.isnan(found.std):
        values["kid/std"] = found.std
    return Compared(values, {"kid": found.spread} if replicates > 1 else {})


def kernel_method(count: int) -> str | None:
    """Return how kid chooses subsets, where it is not as earlier versions did."""
    # Earlier versions took subsets of 1000, or of all images.
    return None if count >= 2 * metrics.MOST_PER_SUBSET else "subsets of half of the images"


def compare_manifolds(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare features by precision_recall."""
    found = metrics.compare_manifolds(reals["features"], fakes["features"])
    values = {"precision": found.precision, "recall": found.recall, "f1": found.f1}
    return _named("precision_recall/", values, found.spread() if replicates > 1 else {})


def compare_densities(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare features by density_coverage."""
    found = metrics.density_coverage(reals["features"], fakes["features"])
    values = {"density": found.density, "coverage": found.coverage}
    return _named("density_coverage/", values, found.spread() if replicates > 1 else {})


def count_modes(reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int) -> Compared:
    """Compute the modes of fakes."""
    numbers = fakes["numbers"]
    hit, divergence = metrics.mode_coverage(numbers)
    values = {"modes/hit": float(hit), "modes/kl": divergence}

    def divergence_of(rows: np.ndarray) -> dict[str, float]:
        return {"modes/kl": metrics.mode_coverage(numbers[rows]).kl}

    spread = metrics.bootstrap(divergence_of, len(numbers), replicates=replicates, seed=seed)
    if spread:
        # A replicate hits fewer modes. By the jackknife: those that would be lost with an image.
        _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        alone = counts[inverse] == 1
        spread["modes/hit"] = metrics.spread_of_mean(len(numbers) * alone)
    return Compared(values, spread)


def compare_distances(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare distances to training images by neighbors."""
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
