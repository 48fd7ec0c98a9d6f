"""The distance between generated images and a picture, which a projection minimizes."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from pgan_tf.metrics import FeatureExtractor, differentiable
from tfrecords_tools.shape import SMALLEST_RESOLUTION, has_alpha

# Keeps the distance of features finite for a picture whose features are zero.
_EPSILON = 1e-8


class Target(NamedTuple):
    """A picture as the distance sees it.

    Attributes:
      pyramid: `[1 h w c]` float32 each, from full size down by factors of two.
      features: `[1 d]` float32; `[1 0]` without an extractor.
    """

    pyramid: tuple[tf.Tensor, ...]
    features: tf.Tensor


class Distances(NamedTuple):
    """The distances of images to a target.

    Attributes:
      total: `[b]`, the weighted sum of those of pixels and features: what shall be small.
      coarse: `[b]`, the mean square of differences of pixels on coarser scales, averaged over them
        and weighted as pixels are: what leads there.
      pixels: `[b]`, the mean square of differences of pixels.
      features: `[b]`, the squared distance of features, relative to the square of the target's;
        zeros without an extractor.
    """

    total: tf.Tensor
    coarse: tf.Tensor
    pixels: tf.Tensor
    features: tf.Tensor


class Distance:
    """Distances of pixels and of features, their weighted sum, and those on coarser scales.

    Far from the target, the pixels of a misplaced part say nothing of where it belongs, but on
    coarser scales, down to 4 pixels by means of 2x2, it still overlaps with its place.

    Transparent images are compared by their alpha and by their colors weighted with it, since
    colors that can't be seen are arbitrary. Features are those of images of three channels, with
    alpha on white, as for metrics.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int,
        *,
        pixel_weight: float = 1.0,
        feature_weight: float = 1.0,
        extractor: FeatureExtractor | None = None,
    ):
        """Prepare to compare images.

        Args:
          height: of the images, in pixels.
          width: of the images, in pixels.
          channels: of the images; with 2 or 4, the last is alpha.
          pixel_weight: of the distance of pixels.
          feature_weight: of the distance of features.
          extractor: of features; None for pixels alone.

        Raises:
          UserError: the extractor has no gradients.
        """
        self._has_alpha = has_alpha(channels)
        self._scales = 1
        while height % 2 == width % 2 == 0 and min(height, width) // 2 >= SMALLEST_RESOLUTION:
            height, width, self._scales = height // 2, width // 2, self._scales + 1
        scale = 2 ** (self._scales - 1)
        self._weights = (pixel_weight, feature_weight)
        self._of_tensor = (
            differentiable(extractor, height=height * scale, width=width * scale)
            if extractor is not None and feature_weight
            else None
        )

    @property
    def has_features(self) -> bool:
        """True if features are compared."""
        return self._of_tensor is not None

    def target(self, image: tf.Tensor) -> Target:
        """Return a picture as a target.

        Args:
          image: `[h w c]` float32 in [-1, 1].
        """
        return self._seen(tf.convert_to_tensor(image, tf.float32)[tf.newaxis])

    def __call__(self, images: tf.Tensor, target: Target) -> Distances:
        """Return the distances of images `[b h w c]`, float32 nominally in [-1, 1], to a target."""
        seen = self._seen(images)
        pixels, *coarser = (
            tf.reduce_mean(tf.square(a - b), axis=[1, 2, 3])
            for a, b in zip(seen.pyramid, target.pyramid, strict=True)
        )
        coarse = tf.add_n(coarser) / len(coarser) if coarser else tf.zeros_like(pixels)
        features = tf.zeros_like(pixels)
        if self._of_tensor is not None:
            squares = tf.reduce_sum(tf.square(seen.features - target.features), axis=1)
            features = squares / (tf.reduce_sum(tf.square(target.features)) + _EPSILON)
        pixel_weight, feature_weight = self._weights
        total = pixel_weight * pixels + feature_weight * features
        return Distances(total, pixel_weight * coarse, pixels, features)

    def _seen(self, images: tf.Tensor) -> Target:
        images = clipped(images)
        pyramid = [self._weighted_by_alpha(images)]
        for _ in range(self._scales - 1):
            pyramid.append(tf.nn.avg_pool2d(pyramid[-1], 2, 2, "VALID"))
        if self._of_tensor is None:
            features = tf.zeros([tf.shape(images)[0], 0])
        else:
            features = self._of_tensor(self._in_three_channels(images))
        return Target(tuple(pyramid), features)

    def _weighted_by_alpha(self, images: tf.Tensor) -> tf.Tensor:
        if not self._has_alpha:
            return images
        alpha = images[..., -1:]
        return tf.concat([(images[..., :-1] + 1.0) * (alpha + 1.0) / 2.0 - 1.0, alpha], axis=-1)

    def _in_three_channels(self, images: tf.Tensor) -> tf.Tensor:
        """Return `[b h w 3]` float32 in [0, 255], alpha on white."""
        images = (images + 1.0) / 2.0
        if self._has_alpha:
            images = 1.0 - (1.0 - images[..., :-1]) * images[..., -1:]
        return 255.0 * (tf.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images)


@tf.custom_gradient
def clipped(images: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Clip images to [-1, 1], as files are, with gradients that lead back from beyond.

    The gradient of a plain clip is zero beyond the range, where a pixel that should be gray would
    stay. This one is zero only where following it would lead farther away.
    """

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        outward = ((images > 1.0) & (upstream < 0.0)) | ((images < -1.0) & (upstream > 0.0))
        return tf.where(outward, 0.0, upstream)

    return tf.clip_by_value(images, -1.0, 1.0), gradient
