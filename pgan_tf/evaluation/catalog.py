"""The metrics by name: the features, the number of images, and the values of each.

Extraction and comparison are separate. Features (patches, similarities of pairs, an extractor's
features, the numbers in images) are extracted from one set of images; a metric compares the
features of two sets. So several metrics share the same features, and those of the reals are
extracted once.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

from pgan_tf.evaluation.by_class import compare_manifolds_by_class, compare_statistics_by_class
from pgan_tf.evaluation.comparisons import (
    NEIGHBORS,
    Compare,
    Compared,
    ImageFeatures,
    compare_densities,
    compare_distances,
    compare_kernels,
    compare_manifolds,
    compare_patches,
    compare_similarities,
    compare_statistics,
    count_modes,
    kernel_method,
    score,
)
from tfrecords_tools.errors import UserError

__all__ = [
    "CATALOG",
    "NEIGHBORS",
    "Compared",
    "ImageFeatures",
    "Metric",
    "combined_spread",
    "find_metrics",
]


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
      needs_labels: whether it compares images class by class.
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
    needs_labels: bool = False
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


_ALL = (
    Metric("swd", "patches", 16384, 1, 16, compare_patches, "swd/average", equal_sets=True),
    # 10,000 pairs. Neither low nor high is good in itself: reals are similar to some degree.
    Metric("ms_ssim", "similarities", 20000, 2, 16, compare_similarities, "ms_ssim/gap"),
    Metric("fid", "features", 50000, 2, 1, compare_statistics, "fid"),
    Metric("is", "features", 50000, 20, 1, score, "is", higher_is_better=True, needs_logits=True),
    Metric("kid", "features", 50000, 2, 1, compare_kernels, "kid", method=kernel_method),
    Metric(
        "precision_recall",
        "features",
        50000,
        4,
        1,
        compare_manifolds,
        "precision_recall/f1",
        higher_is_better=True,
    ),
    Metric(
        "density_coverage",
        "features",
        50000,
        6,
        1,
        compare_densities,
        "density_coverage/coverage",
        higher_is_better=True,
    ),
    Metric(
        "fid_by_class",
        "features",
        50000,
        2,
        1,
        compare_statistics_by_class,
        "fid_by_class/mean",
        needs_labels=True,
    ),
    Metric(
        "precision_recall_by_class",
        "features",
        50000,
        4,
        1,
        compare_manifolds_by_class,
        "precision_recall_by_class/mean/f1",
        higher_is_better=True,
        needs_labels=True,
    ),
    Metric("modes", "numbers", 25600, 1, 1, count_modes, "modes/kl"),
    Metric(
        NEIGHBORS,
        "distances",
        1000,
        1,
        1,
        compare_distances,
        f"{NEIGHBORS}/pixels/below_1_percent",
    ),
)
CATALOG = {metric.name: metric for metric in _ALL}
