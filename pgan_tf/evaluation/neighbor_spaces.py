"""Vectors of images, between which `neighbors.py` takes distances: of pixels and of features."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pgan_tf import metrics
from pgan_tf.evaluation.catalog import NEIGHBORS
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.image_sets import digest_of, read_images, traits
from pgan_tf.evaluation.images import default_batch_size
from pgan_tf.metrics import FeatureExtractor
from tfrecords_tools.format import Level, Pyramid
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
    pyramid: Pyramid, resolution: int, *, extractor: FeatureExtractor | None, cache: FeatureCache
) -> dict[str, Space]:
    """Return the spaces by name; features of the data are computed, or read from the cache.

    Distances of `pixels` are root mean square differences of thumbnails, of 255; those of
    `features` and of `outlines` are Euclidean.

    Args:
      pyramid: the data.
      resolution: of images that an extractor gets.
      extractor: of `features`; None for `outlines` of thumbnails in their place.
      cache: of the features.

    Raises:
      UserError: a record is damaged, or the disk is full.
    """
    level = _thumbnail_level(pyramid, resolution)
    _, height, _ = level.shape

    # Alpha is put on white last: so a copy's thumbnail is that of the pyramid.
    def reduce(images: np.ndarray) -> np.ndarray:
        return over_white(thumbnails(images, height))

    pixels = Space(
        lambda images: _pixels(reduce(images)),
        lambda records: _pixels(over_white(read_images(level, records))),
    )
    if extractor is None:
        kept = _kept_features(pyramid, level, metrics.outlines, _OUTLINES, cache)
        outlines = Space(
            lambda images: metrics.outlines(reduce(images)),
            lambda records: np.asarray(kept[records]),
        )
        return {"pixels": pixels, "outlines": outlines}

    def extract(images: np.ndarray) -> np.ndarray:
        seen = over_white(images)
        return extractor(seen.repeat(3, axis=3) if seen.shape[3] == 1 else seen).features

    full = pyramid.level(resolution)
    kept = _kept_features(pyramid, full, extract, extractor.digest, cache)
    return {
        "pixels": pixels,
        "features": Space(extract, lambda records: np.asarray(kept[records])),
    }


def _thumbnail_level(pyramid: Pyramid, resolution: int) -> Level:
    """Return the highest level up to a resolution whose shorter side has up to 32 pixels."""
    return [
        level
        for level in pyramid.levels
        if level.resolution <= resolution and min(level.shape[1:]) <= _SIDE
    ][-1]


def thumbnails(images: np.ndarray, height: int) -> np.ndarray:
    """Reduce `[b h w c]` uint8 images to a height by area means, rounded as in a pyramid."""
    count, full_height, width, channels = images.shape
    factor = full_height // height
    if factor <= 1:
        return images
    blocks = images.reshape(count, height, factor, width // factor, factor, channels)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)


def _pixels(images: np.ndarray) -> np.ndarray:
    vectors = images.reshape(len(images), -1).astype(np.float32)
    return vectors / np.float32(np.sqrt(vectors.shape[1]))


def _kept_features(
    pyramid: Pyramid, level: Level, describe: Describe, digest: str, cache: FeatureCache
) -> np.ndarray:
    """Return the features `[count d]` of all images of a level, by record."""
    key: dict[str, Any] = {
        "format": 1,
        "measurement": NEIGHBORS,
        "features": digest,
        "data": digest_of(pyramid, level.resolution),
        "resolution": level.resolution,
        "channels": pyramid.channels,
        **traits(pyramid, level.resolution),
        "count": pyramid.count,
    }
    loaded = cache.load(key)
    if loaded is not None:
        return loaded["features"]
    size = default_batch_size(math.prod(level.shape[1:]))

    def read(records: np.ndarray) -> np.ndarray:
        return describe(over_white(read_images(level, records)))

    width = read(np.zeros(1, np.int64)).shape[1]
    with (
        cache.entry(key) as entry,
        Progress(pyramid.count, "images", "features of the data", keep=False) as progress,
    ):
        features = entry.allocate("features", (pyramid.count, width))
        for start in range(0, pyramid.count, size):
            records = np.arange(start, min(start + size, pyramid.count))
            features[records] = read(records)
            progress.update(len(records))
        entry.fill({"features": features})
    return features
