"""Metrics class by class, of images whose labels are classes."""

import hashlib
import json
import math
import re
from collections.abc import Sequence

import numpy as np

from pgan_tf.evaluation.comparisons import (
    Compare,
    Compared,
    ImageFeatures,
    compare_manifolds,
    compare_statistics,
)
from tfrecords_tools.errors import UserError

# Classes with fewer reals or fakes are left out.
MIN_IMAGES = 50
# Arrays beside the features: the class of each image, and the names of all classes.
CLASSES, NAMES = "classes", "class_names"
MEAN = "mean"
_SUFFIX = "_by_class"


def classes_of(labels: np.ndarray, origin: str, metric: str) -> np.ndarray:
    """Return the classes `[n]` int64 of labels `[n k]`.

    Args:
      labels: 1 for the image's class, 0 for others.
      origin: of the images, for errors.
      metric: name of the metric that needs classes.

    Raises:
      UserError: the labels are not classes.
    """
    one = (np.count_nonzero(labels, axis=1) == 1) & (labels.max(axis=1, initial=0) == 1)
    if not one.all():
        raise UserError(
            f"{metric} needs one class an image, a label with a single 1. Received: "
            f"{[float(value) for value in labels[np.argmin(one)][:8]]} and others, of {origin}"
        )
    return labels.argmax(axis=1)


def value_names(names: Sequence[str] | None, count: int) -> list[str]:
    """Return the names of `count` classes as parts of names of values.

    Letters, digits, spaces within, `_`, `-` and `.` stay; other characters are escaped as in URLs.
    So names keep apart, and none is `mean`. Classes with no name, or with equal ones, are numbered.
    """
    if names is None:
        return [str(number) for number in range(count)]
    if "" in names or len(set(names)) < len(names):
        names = [f"{number}-{name}" for number, name in enumerate(names)]
    return [_escape(name) for name in names]


def _escape(name: str) -> str:
    escaped = re.sub(r"[^\w\-. ]|^ | $|(?<= ) ", _as_bytes, name)
    return f"%6D{escaped[1:]}" if escaped == MEAN else escaped


def _as_bytes(match: re.Match) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode(errors="surrogatepass"))


def is_of_one_class(name: str) -> bool:
    """Return whether a value, by its name, is that of one class; there may be many such."""
    metric, *rest = name.split("/")
    return metric.endswith(_SUFFIX) and rest[:1] != [MEAN]


def counts_by_class(reals: np.ndarray, fakes: np.ndarray, classes: int) -> np.ndarray:
    """Return the images `[classes]` of each class in that set which has fewer of it."""
    return np.minimum(*(np.bincount(of, minlength=classes) for of in (reals, fakes)))


def labels_digest(classes: np.ndarray, names: Sequence[str]) -> str:
    """Return a text that changes with the classes of images or their names."""
    digest = hashlib.sha256(json.dumps(list(names)).encode())
    digest.update(classes.astype("<i8").tobytes())
    return f"labels {digest.hexdigest()[:16]}"


def compare_statistics_by_class(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare features by fid, class by class: values by the name of the class, and their mean."""
    return _compare_each(compare_statistics, "fid", reals, fakes, seed, replicates)


def compare_manifolds_by_class(
    reals: ImageFeatures, fakes: ImageFeatures, seed: int, replicates: int
) -> Compared:
    """Compare features by precision_recall, class by class, with the means over classes."""
    return _compare_each(compare_manifolds, "precision_recall", reals, fakes, seed, replicates)


def _compare_each(
    compare: Compare,
    metric: str,
    reals: ImageFeatures,
    fakes: ImageFeatures,
    seed: int,
    replicates: int,
) -> Compared:
    """Compare the images of each class that has enough, and take the means over classes.

    Returns:
      Values of names such as `fid_by_class/cat` and `precision_recall_by_class/cat/recall`.
    """
    names = fakes[NAMES]
    counts = counts_by_class(reals[CLASSES], fakes[CLASSES], len(names))
    by_class: dict[str, Compared] = {}
    for number in np.flatnonzero(counts >= MIN_IMAGES):
        of_reals, of_fakes = (
            {"features": of["features"][of[CLASSES] == number]} for of in (reals, fakes)
        )
        by_class[str(names[number])] = compare(of_reals, of_fakes, seed, replicates)
    if not by_class:
        return Compared({}, {})
    all_values, all_spreads = zip(*by_class.values(), strict=True)
    by_class[MEAN] = Compared(
        {name: sum(v[name] for v in all_values) / len(all_values) for name in all_values[0]},
        # Fakes of the classes are drawn apart.
        {
            name: math.hypot(*(s[name] for s in all_spreads)) / len(all_spreads)
            for name in all_spreads[0]
        },
    )

    def renamed(kind: int) -> dict[str, float]:
        return {
            f"{metric}{_SUFFIX}/{of_class}{name.removeprefix(metric)}": value
            for of_class, compared in by_class.items()
            for name, value in compared[kind].items()
        }

    return Compared(renamed(0), renamed(1))
