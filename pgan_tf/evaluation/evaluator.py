"""Comparing generators with one data set: reals are measured once, fakes for every generator."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from tqdm import tqdm

from pgan_tf.evaluation.cache import Workspace, digest_of
from pgan_tf.evaluation.catalogue import Measured, Metric
from pgan_tf.evaluation.images import Fakes, Reals
from pgan_tf.evaluation.measuring import (
    GAUGES,
    Allocate,
    Extractor,
    Gauge,
    ImageSet,
    first_images,
    measure,
    settings_of,
)
from tfrecords_tools.errors import UserError

# Random draws of reals, of the second set of them, and of fakes must differ.
_REALS, _OTHER_REALS, _FAKES = 0, 1, 2
_SETS = 3


class Evaluator:
    """Metrics of fakes against reals, and of reals against others of them: the floor.

    Attributes:
      metrics: that are computed.
      num_images: how many fakes each metric compares, by name; with as many reals, or all there
        are.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        reals: Reals,
        *,
        num_images: int | None,
        workspace: Workspace,
        extractors: Mapping[str, Extractor],
        flag: str = "num_images",
    ):
        """
        Args:
          metrics: to compute.
          reals: the data.
          num_images: how many images to compare, of which there may be fewer reals, unless a metric
            wants equal sets; None for each metric's usual number, or all of the data where it has
            fewer.
          workspace: where measurements are kept.
          extractors: by measurement.
          flag: what `num_images` is called, for errors.

        Raises:
          UserError: a metric can't be computed of these data, of so few images, or of what an
            extractor returns.
        """
        self.metrics = tuple(metrics)
        self._reals = reals
        self._workspace = workspace
        self._extractors = extractors
        self.num_images = {m.name: _choose_count(m, reals, num_images, flag) for m in metrics}
        # A measurement is taken of as many images as the metric that wants the most of them.
        self._counts: dict[str, int] = {}
        for metric in self.metrics:
            count = max(self.num_images[metric.name], self._counts.get(metric.measurement, 0))
            self._counts[metric.measurement] = count
        self._of_reals: dict[str, Measured] = {}
        self._digest: str | None = None
        self._try_extractors()

    @property
    def most_images(self) -> int:
        """How many fakes have to be generated."""
        return max(self._counts.values())

    @property
    def real_images(self) -> dict[str, int]:
        """How many reals each metric compares fakes with."""
        available = self._reals.pyramid.count
        return {name: min(count, available) for name, count in self.num_images.items()}

    @property
    def floor_images(self) -> dict[str, int]:
        """How many reals each metric compares with others: fewer, where the data has few."""
        half = self._reals.pyramid.count // 2
        return {name: min(count, half) for name, count in self.num_images.items()}

    @property
    def extractor_digests(self) -> dict[str, str]:
        """By metric, of those that need one; they change whenever features may."""
        return {
            metric.name: self._extractors[metric.measurement].digest
            for metric in self.metrics
            if metric.measurement in self._extractors
        }

    @property
    def data_digest(self) -> str:
        """Changes whenever the data do."""
        if self._digest is None:
            self._digest = digest_of(self._reals.pyramid, self._reals.resolution)
        return self._digest

    def evaluate(
        self, fakes: Fakes, *, label: str = "fakes", only: Sequence[Metric] | None = None
    ) -> dict[str, float]:
        """Figures of a generator.

        Args:
          fakes: of it.
          label: what the progress bar says.
          only: those of `metrics` that are wanted; None for all.

        Raises:
          UserError: its images are not finite, or the disk is full.
        """
        wanted = self.metrics if only is None else only
        counts = self._counts_for(wanted)
        of_reals = self._measure_reals(counts)
        gauges = {
            name: self._gauge(name, count, _FAKES, self._workspace.allocate)
            for name, count in counts.items()
        }
        most = max(counts.values())
        with _bar(most, label) as progress:
            measure(list(gauges.values()), fakes.read(most), progress)
        of_fakes = {name: gauge.finish() for name, gauge in gauges.items()}
        return self._compare(wanted, of_reals, of_fakes, self.num_images)

    def floor(self, *, only: Sequence[Metric] | None = None) -> dict[str, float]:
        """Figures of reals against others of the data: what a perfect generator would reach.

        Metrics that the data has too few images for, in each of two halves, are left out.

        Args:
          only: those of `metrics` that are wanted; None for all.
        """
        wanted = [
            metric
            for metric in (self.metrics if only is None else only)
            if self.floor_images[metric.name] >= metric.min_images
        ]
        if not wanted:
            return {}
        half = self._reals.pyramid.count // 2
        counts = {name: min(count, half) for name, count in self._counts_for(wanted).items()}
        of_reals = self._measure_reals(self._counts_for(wanted))
        # From the second half of the order of draws, so no image is in both sets.
        others = self._measure(counts, _OTHER_REALS, "other reals", first=half)
        first = {name: first_images(name, of_reals[name], counts[name]) for name in counts}
        return self._compare(wanted, first, others, self.floor_images)

    def _try_extractors(self) -> None:
        """Shows two reals to each, so that one that does not fit is known before any work.

        Raises:
          UserError: it takes no such images, returns something else, or lacks what a metric needs.
        """
        if not self._extractors:
            return
        count = min(2, self._reals.pyramid.count)
        images = next(self._reals.read(0, count))
        for name, extractor in self._extractors.items():
            gauge = self._gauge(name, count, _REALS, lambda _, shape: np.empty(shape, np.float32))
            gauge.add(images)
            measured = gauge.finish()
            for metric in self.metrics:
                lacks = metric.needs_logits and "logits" not in measured
                if metric.measurement == name and lacks:
                    raise UserError(
                        f"{metric.name} needs an extractor that returns logits beside features. "
                        f"Received: {extractor.name}, which returns features alone"
                    )

    def _counts_for(self, metrics: Sequence[Metric]) -> dict[str, int]:
        """How many images are measured for these metrics, by measurement."""
        return {metric.measurement: self._counts[metric.measurement] for metric in metrics}

    def _compare(
        self,
        metrics: Sequence[Metric],
        reals: Mapping[str, Measured],
        fakes: Mapping[str, Measured],
        num_images: Mapping[str, int],
    ) -> dict[str, float]:
        figures: dict[str, float] = {}
        for metric in metrics:
            count, kind = num_images[metric.name], metric.measurement
            pair = [first_images(kind, measured[kind], count) for measured in (reals, fakes)]
            figures.update(metric.compare(pair[0], pair[1], self._reals.seed))
        return figures

    def _measure_reals(self, counts: Mapping[str, int]) -> Mapping[str, Measured]:
        available = self._reals.pyramid.count
        missing = {
            name: min(count, available)
            for name, count in counts.items()
            if name not in self._of_reals
        }
        if missing:
            self._of_reals |= self._measure(missing, _REALS, "reals")
        return self._of_reals

    def _measure(
        self, counts: Mapping[str, int], which: int, label: str, *, first: int = 0
    ) -> dict[str, Measured]:
        """What is in the cache, and what is not, measured in one pass over the images."""
        keys = {name: self._key(name, count, first, which) for name, count in counts.items()}
        measured = {name: self._workspace.load(key) for name, key in keys.items()}
        found = {name: entry for name, entry in measured.items() if entry is not None}
        missing = [name for name in counts if name not in found]
        if not missing:
            return found
        most = max(counts[name] for name in missing)
        with contextlib.ExitStack() as stack:
            entries = {n: stack.enter_context(self._workspace.entry(keys[n])) for n in missing}
            gauges = {
                name: self._gauge(name, counts[name], which, entry.allocate)
                for name, entry in entries.items()
            }
            with _bar(most, label) as progress:
                measure(list(gauges.values()), self._reals.read(first, most), progress)
            for name, entry in entries.items():
                found[name] = gauges[name].finish()
                entry.fill(found[name])
        return found

    def _gauge(self, name: str, count: int, which: int, allocate: Allocate) -> Gauge:
        reals = self._reals
        seed = _SETS * reals.seed + which
        images = ImageSet(count, reals.resolution, reals.pyramid.channels, seed)
        return GAUGES[name](images, allocate, self._extractors.get(name))

    def _key(self, measurement: str, count: int, first: int, which: int) -> dict[str, Any]:
        return {
            "format": 1,
            "measurement": measurement,
            **settings_of(measurement, self._extractors.get(measurement)),
            "data": self.data_digest,
            "resolution": self._reals.resolution,
            "channels": self._reals.pyramid.channels,
            "mirror": self._reals.mirror,
            "seed": self._reals.seed,
            "set": which,
            "first": first,
            "count": count,
        }


def _choose_count(metric: Metric, reals: Reals, num_images: int | None, flag: str) -> int:
    """How many images a metric compares.

    Raises:
      UserError: they are too few for it, or more than there are where it wants equal sets; or too
        small.
    """
    available = reals.pyramid.count
    if reals.resolution < metric.min_resolution:
        side = metric.min_resolution
        raise UserError(
            f"{metric.name} needs images of {side}x{side} or larger. "
            f"Received: {reals.resolution}x{reals.resolution}, of {reals.pyramid.directory}"
        )
    if metric.equal_sets and num_images is not None and num_images > available:
        raise UserError(
            f"{metric.name} needs as many reals as fakes: --{flag} must be at most {available}, as "
            f"many as {reals.pyramid.directory} has. Received: {num_images}"
        )
    count = num_images or min(metric.num_images, available)
    if min(count, available) < metric.min_images:
        few = num_images and num_images <= available
        source = f"--{flag}={count}" if few else f"{available}, in {reals.pyramid.directory}"
        raise UserError(
            f"{metric.name} needs at least {metric.min_images} images. Received: {source}"
        )
    if num_images is None and count < metric.num_images:
        logging.warning(
            "%s is usually computed of %d images; %s has %d, and figures of fewer images are "
            "higher or lower",
            metric.name,
            metric.num_images,
            reals.pyramid.directory,
            available,
        )
    return count


@contextlib.contextmanager
def _bar(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; yields what to call with a number of images."""
    with tqdm(total=total, desc=label, unit="image", disable=None, leave=False) as bar:

        def update(count: int) -> None:
            bar.update(min(count, total - bar.n))

        yield update
