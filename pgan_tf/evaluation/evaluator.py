"""Metrics of any number of generators against one data set."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from pgan_tf.evaluation.catalog import Compared, ImageFeatures, Metric
from pgan_tf.evaluation.class_labels import ClassLabels
from pgan_tf.evaluation.extraction import (
    ACCUMULATORS,
    Allocate,
    Extractor,
    FeatureAccumulator,
    ImageSetSpec,
    extract,
    feature_settings,
    features_of_first,
)
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.images import FakeImages, Reals
from pgan_tf.evaluation.reduced_images import split_as_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.progress import Progress, working

# Random draws differ between the three sets: reals, other reals of the floor, and fakes.
_REALS, _OTHER_REALS, _FAKES = 0, 1, 2
_SETS = 3


class Evaluator:
    """Metrics of fakes against reals, and of reals against other reals: the floor.

    Features of reals are extracted once, those of fakes for every generator.

    Attributes:
      metrics: to compute.
      num_images: number of fakes that each metric compares, by name; with as many reals, or all of
        them if there are fewer.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        reals: Reals,
        *,
        num_images: int | None,
        cache: FeatureCache,
        extractors: Mapping[str, Extractor],
        most_fakes: int | None = None,
        replicates: int = 0,
        flag: str = "num_images",
    ):
        """Check that every metric can be computed, before any work.

        Args:
          metrics: to compute.
          reals: the data.
          num_images: number of images to compare; there may be fewer reals unless a metric needs
            equal sets. None for each metric's usual number, or all of the data if it has fewer.
          cache: of features.
          extractors: by kind of features.
          most_fakes: number of fakes that there are; None for any number.
          replicates: of the bootstrap, for the spread of values over fakes; 0 for none.
          flag: name of the flag with `num_images`, for errors.

        Raises:
          UserError: a metric can't be computed of these data, of so few images, or of the features
            that an extractor returns.
        """
        self.metrics = tuple(metrics)
        self._reals = reals
        self._cache = cache
        self._extractors = extractors
        self._replicates = replicates
        self.num_images = {
            m.name: _choose_count(m, reals, num_images, most_fakes, flag) for m in metrics
        }
        if num_images is None:
            _warn_of_few(self.metrics, self.num_images)
        # By kind of features: the largest number of images that a metric compares.
        self._counts: dict[str, int] = {}
        for metric in self.metrics:
            count = max(self.num_images[metric.name], self._counts.get(metric.feature_kind, 0))
            self._counts[metric.feature_kind] = count
        self._of_reals: dict[str, ImageFeatures] = {}
        self._labels = ClassLabels(self.metrics, reals, self.real_images)
        self._try_extractors()

    @property
    def most_images(self) -> int:
        """Number of fakes that have to be generated."""
        return max(self._counts.values(), default=0)

    @property
    def real_images(self) -> dict[str, int]:
        """Number of reals that each metric compares with fakes."""
        available = self._reals.count
        return {name: min(count, available) for name, count in self.num_images.items()}

    @property
    def floor_images(self) -> dict[str, int]:
        """Number of reals that each metric compares with as many others: at most half of them."""
        half = self._reals.count // 2
        return {name: min(count, half) for name, count in self.num_images.items()}

    @property
    def extractor_digests(self) -> dict[str, str]:
        """Digests by metric, of those that need an extractor; they change when features may."""
        return {
            metric.name: self._extractors[metric.feature_kind].digest
            for metric in self.metrics
            if metric.feature_kind in self._extractors
        }

    @property
    def features_of(self) -> str | None:
        """Name of the extractor of features; None if no metric compares them."""
        extractor = self._extractors.get("features")
        return None if extractor is None else extractor.name

    @property
    def methods(self) -> dict[str, str]:
        """By metric, a text that changes when its values do; of metrics that have changed once."""
        reals, floor = self.real_images, self.floor_images
        found = {m.name: m.method(min(reals[m.name], floor[m.name])) for m in self.metrics}
        found |= self._labels.digests
        return {name: method for name, method in found.items() if method is not None}

    @property
    def data_digest(self) -> str:
        """Digest that changes whenever the data do."""
        return self._reals.images.digest

    def require_labels(self, fakes: FakeImages) -> None:
        """Check that the classes of fakes are known, if a metric needs them.

        Raises:
          UserError: they are not.
        """
        self._labels.of_fakes(self.metrics, fakes, self.num_images)

    def evaluate(
        self, fakes: FakeImages, *, label: str = "fakes", only: Sequence[Metric] | None = None
    ) -> Compared:
        """Compute the metrics of a generator.

        Args:
          fakes: its images.
          label: text of the progress bar.
          only: the metrics to compute, of `metrics`; None for all.

        Returns:
          Values, and their spread.

        Raises:
          UserError: its images are not finite, or the disk is full.
        """
        wanted = self.metrics if only is None else only
        counts = self._counts_for(wanted)
        classes = self._labels.of_fakes(wanted, fakes, self.num_images)
        of_reals = self._features_of_reals(counts)
        # Reals that are compared with themselves differ in nothing, not even in random draws.
        which = _REALS if fakes.digest == self.data_digest else _FAKES
        accumulators = {
            kind: self._accumulator(kind, count, which, self._cache.allocate)
            for kind, count in counts.items()
        }
        most = max(counts.values())
        with _bar(most, label) as progress:
            extract(list(accumulators.values()), fakes.read(most), progress)
        of_fakes = {kind: accumulator.finish() for kind, accumulator in accumulators.items()}
        return self._compare(
            wanted, of_reals, of_fakes, classes, self.num_images, replicates=self._replicates
        )

    def floor(self, *, only: Sequence[Metric] | None = None) -> dict[str, float]:
        """Compute the metrics of reals against other reals: those of a perfect generator.

        Metrics that the data has too few images for, in each of two halves, are left out.

        Args:
          only: the metrics to compute, of `metrics`; None for all.

        Returns:
          Values by name.
        """
        wanted = [
            metric
            for metric in (self.metrics if only is None else only)
            if self.floor_images[metric.name] >= metric.min_images
        ]
        if not wanted:
            return {}
        half = self._reals.count // 2
        counts = {kind: min(count, half) for kind, count in self._counts_for(wanted).items()}
        of_reals = self._features_of_reals(self._counts_for(wanted))
        # From the second half of the order of draws, so that no image is in both sets.
        others = self._cached_features(counts, _OTHER_REALS, "other reals", first=half)
        first = {kind: features_of_first(kind, of_reals[kind], counts[kind]) for kind in counts}
        classes = None
        if any(metric.needs_labels for metric in wanted):
            classes = self._labels.of_reals(half, max(counts.values()))
        return self._compare(wanted, first, others, classes, self.floor_images).values

    def _try_extractors(self) -> None:
        """Extract features of two reals, so that an unfit extractor is reported before any work.

        Raises:
          UserError: an extractor does not take the images, does not return features, or does not
            return the logits that a metric needs.
        """
        if not self._extractors:
            return
        count = min(2, self._reals.count)
        images = next(self._reals.read(0, count))
        for kind, extractor in self._extractors.items():
            accumulator = self._accumulator(
                kind, count, _REALS, lambda _, shape: np.empty(shape, np.float32)
            )
            accumulator.add(images)
            features = accumulator.finish()
            for metric in self.metrics:
                lacks = metric.needs_logits and "logits" not in features
                if metric.feature_kind == kind and lacks:
                    raise UserError(
                        f"{metric.name} needs an extractor that returns logits beside features. "
                        f"Received: {extractor.name}, which returns features alone"
                    )

    def _counts_for(self, metrics: Sequence[Metric]) -> dict[str, int]:
        """Return the number of images to extract features of, by kind of features."""
        return {metric.feature_kind: self._counts[metric.feature_kind] for metric in metrics}

    def _compare(
        self,
        metrics: Sequence[Metric],
        reals: Mapping[str, ImageFeatures],
        fakes: Mapping[str, ImageFeatures],
        classes: np.ndarray | None,
        num_images: Mapping[str, int],
        *,
        replicates: int = 0,
    ) -> Compared:
        """Compare features; `classes` are those of fakes, for metrics that need them."""
        found = Compared({}, {})
        for metric in metrics:
            count, kind = num_images[metric.name], metric.feature_kind
            of_reals, of_fakes = (features_of_first(kind, of[kind], count) for of in (reals, fakes))
            if metric.needs_labels:
                of_reals = self._labels.beside(of_reals, self._labels.of_first_reals())
                of_fakes = self._labels.beside(of_fakes, classes)
            with working(f"comparing {metric.name}"):  # sorting projections, for one
                compared = metric.compare(of_reals, of_fakes, self._reals.seed, replicates)
            found.values.update(compared.values)
            found.spread.update(compared.spread)
        return found

    def _features_of_reals(self, counts: Mapping[str, int]) -> Mapping[str, ImageFeatures]:
        """Return the features of reals, each kind extracted or loaded once."""
        available = self._reals.count
        missing = {
            kind: min(count, available)
            for kind, count in counts.items()
            if kind not in self._of_reals
        }
        if missing:
            self._of_reals |= self._cached_features(missing, _REALS, "reals")
        return self._of_reals

    def _cached_features(
        self, counts: Mapping[str, int], which: int, label: str, *, first: int = 0
    ) -> dict[str, ImageFeatures]:
        """Load features of reals from the cache; extract missing ones in one pass over the images.

        Args:
          counts: number of images by kind of features.
          which: the set of images, `_REALS` or `_OTHER_REALS`.
          label: text of the progress bar.
          first: position of the set's first image in the order of draws.
        """
        keys = {kind: self._key(kind, count, first, which) for kind, count in counts.items()}
        loaded = {kind: self._cache.load(key) for kind, key in keys.items()}
        found = {kind: features for kind, features in loaded.items() if features is not None}
        missing = [kind for kind in counts if kind not in found]
        if not missing:
            return found
        most = max(counts[kind] for kind in missing)
        with contextlib.ExitStack() as stack:
            entries = {k: stack.enter_context(self._cache.entry(keys[k])) for k in missing}
            accumulators = {
                kind: self._accumulator(kind, counts[kind], which, entry.allocate)
                for kind, entry in entries.items()
            }
            with _bar(most, label) as progress:
                extract(list(accumulators.values()), self._reals.read(first, most), progress)
            for kind, entry in entries.items():
                found[kind] = accumulators[kind].finish()
                entry.fill(found[kind])
        return found

    def _accumulator(
        self, kind: str, count: int, which: int, allocate: Allocate
    ) -> FeatureAccumulator:
        reals = self._reals
        seed = _SETS * reals.seed + which
        images = ImageSetSpec(count, reals.size, reals.channels, seed)
        return ACCUMULATORS[kind](images, allocate, self._extractors.get(kind))

    def _key(self, kind: str, count: int, first: int, which: int) -> dict[str, Any]:
        return {
            "format": 1,
            "measurement": kind,
            **feature_settings(kind, self._extractors.get(kind)),
            "data": self.data_digest,
            "resolution": self._reals.images.resolution,
            "channels": self._reals.images.channels,
            **self._reals.traits,
            "mirror": self._reals.mirror,
            "seed": self._reals.seed,
            "set": which,
            "first": first,
            "count": count,
        }


def _choose_count(
    metric: Metric, reals: Reals, num_images: int | None, most_fakes: int | None, flag: str
) -> int:
    """Return the number of images that a metric compares.

    Raises:
      UserError: they are too few or too small for the metric, or more than there are reals if it
        needs equal sets.
    """
    available = reals.count
    if min(reals.size) < metric.min_side:
        side = metric.min_side
        raise UserError(
            f"{metric.name} needs images of {side}x{side} or larger. "
            f"Received: {reals.images.size_text}, of {reals.images.path}"
        )
    if metric.feature_kind == "patches":
        split_as_pyramid(reals.images, metric.name)
    if metric.equal_sets and num_images is not None and num_images > available:
        raise UserError(
            f"{metric.name} needs as many reals as fakes: --{flag} must be at most {available}, as "
            f"many as {reals.images.path} has. Received: {num_images}"
        )
    if most_fakes is not None and num_images is not None and num_images > most_fakes:
        raise UserError(
            f"--{flag} must be at most {most_fakes}, as many as there are fakes. "
            f"Received: {num_images}"
        )
    count = num_images or min(metric.num_images, available, most_fakes or available)
    if min(count, available) < metric.min_images:
        few = num_images and num_images <= available
        source = f"--{flag}={count}" if few else f"{available}, in {reals.images.path}"
        raise UserError(
            f"{metric.name} needs at least {metric.min_images} images. Received: {source}"
        )
    return count


def _warn_of_few(metrics: Sequence[Metric], counts: Mapping[str, int]) -> None:
    """Name in one line the metrics that are computed of fewer images than usual."""
    few = [metric for metric in metrics if counts[metric.name] < metric.num_images]
    if few:
        logging.warning(
            "values of fewer images than usual are higher or lower: %s",
            ", ".join(f"{m.name} of {counts[m.name]}, usually {m.num_images}" for m in few),
        )


@contextlib.contextmanager
def _bar(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """Show progress; yield a function that adds a number of images, of which some are too many."""
    left = total
    with Progress(total, "images", label, keep=False) as progress:

        def update(count: int) -> None:
            nonlocal left
            progress.update(min(count, left))
            left -= min(count, left)

        yield update
