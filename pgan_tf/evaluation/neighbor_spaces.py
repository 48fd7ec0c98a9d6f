"""Vectors of images, between which `neighbors.py` takes distances: of pixels and of features."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pgan_tf import metrics
from pgan_tf.evaluation.catalog import NEIGHBORS
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.images import Reals, as_rgb, default_batch_size
from pgan_tf.evaluation.reduced_images import ReducedImages, area_means, reduced
from pgan_tf.metrics import FeatureExtractor
from tfrecords_tools.pictures import over_white
from tfrecords_tools.progress import Progress

# The most pixels of the shorter side of thumbnails.
_SIDE = 32
# Changes with what `metrics.outlines` returns.
_OUTLINES = "outlines 1"

Describe = Callable[[np.ndarray], np.ndarray]


class Space(NamedTuple):
    """Vectors of images.

    Attributes:
      of_images: `[b h w c]` uint8 images, with alpha if the data has it, to `[b d]` float32.
      of_records: record numbers `[b]` of the data to `[b d]` float32.
    """

    of_images: Describe
    of_records: Describe


def features_digest(extractor: FeatureExtractor | None) -> str:
    """Return a text that changes with the features."""
    return _OUTLINES if extractor is None else extractor.digest


def open_spaces(
    reals: Reals, *, extractor: FeatureExtractor | None, cache: FeatureCache
) -> dict[str, Space]:
    """Return the spaces by name; features of the data are computed, or read from the cache.

    Distances of `pixels` are root mean square differences of thumbnails, of 255; those of
    `features` and of `outlines` are Euclidean.

    Args:
      reals: the data, at the resolution of images that an extractor gets.
      extractor: of `features`; None for `outlines` of thumbnails in their place.
      cache: of the features.

    Raises:
      UserError: an image is damaged or of a size that no pyramid has, or the disk is full.
    """
    thumbnails = reduced(reals.images, lambda size: min(size) <= _SIDE)
    full = reduced(reals.images, lambda size: True)

    # Alpha is put on white last: so a copy's thumbnail is that of the pyramid.
    def reduce(images: np.ndarray) -> np.ndarray:
        return reals.seen(area_means(images, thumbnails.size[0]))

    pixels = Space(
        lambda images: _pixels(reduce(images)),
        lambda records: _pixels(reals.seen(thumbnails.read(records))),
    )
    if extractor is None:
        kept = _kept_features(reals, thumbnails, metrics.outlines, _OUTLINES, cache)
        outlines = Space(
            lambda images: metrics.outlines(reduce(images)),
            lambda records: np.asarray(kept[records]),
        )
        return {"pixels": pixels, "outlines": outlines}

    def extract(images: np.ndarray) -> np.ndarray:
        return extractor(as_rgb(over_white(images))).features

    kept = _kept_features(reals, full, extract, extractor.digest, cache)
    return {
        "pixels": pixels,
        "features": Space(extract, lambda records: np.asarray(kept[records])),
    }


def _pixels(images: np.ndarray) -> np.ndarray:
    vectors = images.reshape(len(images), -1).astype(np.float32)
    return vectors / np.float32(np.sqrt(vectors.shape[1]))


def _kept_features(
    reals: Reals, images: ReducedImages, describe: Describe, digest: str, cache: FeatureCache
) -> np.ndarray:
    """Return the features `[count d]` of all images of a set, by number."""
    count = images.source.count
    key: dict[str, Any] = {
        "format": 1,
        "measurement": NEIGHBORS,
        "features": digest,
        "data": images.source.digest,
        "resolution": images.resolution,
        "channels": images.source.channels,
        **dataclasses.replace(reals, images=images.source).traits,
        "count": count,
    }
    loaded = cache.load(key)
    if loaded is not None:
        return loaded["features"]
    size = default_batch_size(math.prod(reals.size))

    def read(numbers: np.ndarray) -> np.ndarray:
        return describe(reals.seen(images.read(numbers)))

    width = read(np.zeros(1, np.int64)).shape[1]
    with (
        cache.entry(key) as entry,
        Progress(count, "images", "features of the data", keep=False) as progress,
    ):
        features = entry.allocate("features", (count, width))
        for start in range(0, count, size):
            numbers = np.arange(start, min(start + size, count))
            features[numbers] = read(numbers)
            progress.update(len(numbers))
        entry.fill({"features": features})
    return features
