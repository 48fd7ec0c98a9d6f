"""The classes of the images that are compared, for metrics that compare class by class."""

from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from pgan_tf.evaluation.by_class import (
    CLASSES,
    MIN_IMAGES,
    NAMES,
    classes_of,
    counts_by_class,
    labels_digest,
    value_names,
)
from pgan_tf.evaluation.catalog import ImageFeatures, Metric
from pgan_tf.evaluation.images import FakeImages, Reals
from tfrecords_tools.errors import UserError

_NAMED = 5  # classes in a message


class ClassLabels:
    """The classes of reals, known from the start, and of fakes."""

    def __init__(self, metrics: Sequence[Metric], reals: Reals, num_images: Mapping[str, int]):
        """Read the classes of reals, if a metric needs them.

        Args:
          metrics: all that will be computed.
          reals: the data.
          num_images: number of reals that each metric compares with fakes, by name.

        Raises:
          UserError: a metric needs classes, and the data have none, or too few images of any.
        """
        self._needing = [metric for metric in metrics if metric.needs_labels]
        self._reals = reals
        self._counts = num_images
        self._said: set[str] = set()
        if not self._needing:
            return
        most = max(num_images[metric.name] for metric in self._needing)
        self._of_reals = self.of_reals(0, most)
        self._names = value_names(reals.images.label_names, reals.images.label_size)
        for metric in self._needing:
            few = self._of_reals[: num_images[metric.name]]
            if np.bincount(few).max() < MIN_IMAGES:
                raise UserError(
                    f"{metric.name} needs at least {MIN_IMAGES} images of a class. Received: "
                    f"{np.bincount(few).max()} at most, among {len(few)} of {reals.images.path}"
                )

    @property
    def digests(self) -> dict[str, str]:
        """By metric, a text that changes with the classes of reals or their names."""
        return {
            metric.name: labels_digest(self._of_reals[: self._counts[metric.name]], self._names)
            for metric in self._needing
        }

    def of_reals(self, first: int, count: int) -> np.ndarray:
        """Return the classes `[count]` of reals in the order of draws.

        Raises:
          UserError: the data have no labels, or these are not classes.
        """
        metric, images = self._needing[0].name, self._reals.images
        labels = self._reals.labels_of(first, count)
        if labels is None:
            raise UserError(
                f"{metric} needs data with classes. Received: {images.path}, which has no labels: "
                "those of pictures are the folders directly in a set, and pgan-prepare-tfrecords "
                "--labels=folders takes the same for pyramids"
            )
        return classes_of(labels, str(images.path), metric)

    def of_fakes(
        self, metrics: Sequence[Metric], fakes: FakeImages, num_images: Mapping[str, int]
    ) -> np.ndarray | None:
        """Return the classes of fakes; None if no metric needs them.

        Says which classes have too few images.

        Args:
          metrics: those that are computed now.
          fakes: the images.
          num_images: number of fakes that each metric compares, by name.

        Raises:
          UserError: the classes of fakes are not known, or all have too few images.
        """
        needing = [metric for metric in metrics if metric.needs_labels]
        if not needing:
            return None
        most = max(num_images[metric.name] for metric in needing)
        labels = fakes.labels_of(0, most)
        if labels is None:
            raise UserError(
                f"{needing[0].name} needs fakes of known classes: a conditional generator's, or "
                f"images with labels that are the data's. Received: {fakes.origin}, which has none"
            )
        classes = classes_of(labels, fakes.origin, needing[0].name)
        for metric in needing:
            self._say_left_out(metric.name, classes[: num_images[metric.name]], fakes.origin)
        return classes

    def _say_left_out(self, metric: str, of_fakes: np.ndarray, origin: str) -> None:
        of_reals = self._of_reals[: self._counts[metric]]
        counts = counts_by_class(of_reals, of_fakes, len(self._names))
        few = [self._names[number] for number in np.flatnonzero(counts < MIN_IMAGES)]
        if len(few) == len(self._names):
            raise UserError(
                f"{metric} needs at least {MIN_IMAGES} images of a class in both sets. Received: "
                f"none such, of {origin} and {self._reals.images.path}"
            )
        if few:
            more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
            text = (
                f"{metric} leaves out {len(few)} of {len(self._names)} classes, with fewer than "
                f"{MIN_IMAGES} reals or fakes: {', '.join(few[:_NAMED])}{more}"
            )
            if text not in self._said:
                self._said.add(text)
                logging.warning("%s", text)

    def beside(self, features: ImageFeatures, classes: np.ndarray | None) -> ImageFeatures:
        """Return features with the classes of their images and the names of all classes."""
        if classes is None:
            return features
        rows = len(features["features"])
        return {**features, CLASSES: classes[:rows], NAMES: np.array(self._names)}

    def of_first_reals(self) -> np.ndarray | None:
        """Return the classes of the reals that fakes are compared with; None if not needed."""
        return self._of_reals if self._needing else None
