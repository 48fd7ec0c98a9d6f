"""Resampling of images by affine maps, without aliasing (Karras et al. 2020, appendix B).

Images are upscaled by 2, sampled bilinearly at twice the resolution, and downscaled by 2. Both
filters are the lowpass filter of an orthogonal wavelet, sym6, so that they undo each other where
nothing moves.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

# The scaling filter of Daubechies's least asymmetric wavelet with 6 vanishing moments ("Ten
# lectures on wavelets", table 6.3): the sum of squares is 1, and shifts by 2 are orthogonal.
SYM6 = np.array(
    [
        0.015404109327027373,
        0.0034907120842174702,
        -0.11799011114819057,
        -0.048311742585633,
        0.4910559419267466,
        0.787641141030194,
        0.3379294217276218,
        -0.07263752278646252,
        -0.021060292512300564,
        0.04472490177066578,
        0.0017677118642428036,
        -0.007800708325034148,
    ]
)
_TAPS = len(SYM6)
# Position among upscaled pixels of the first of the image's own.
_CENTER = float(np.sum(np.arange(_TAPS) * SYM6) / np.sum(SYM6))
# Pixels beyond each border that the filters reach.
_MARGIN = _TAPS // 2 - 1

# From images `[b h w c]`, and rows and columns `[b h w]` in [0, h - 1] and [0, w - 1], to what is
# there between pixels, bilinearly.
Sampling = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def resample(images: tf.Tensor, inverse: tf.Tensor, sampling: Sampling) -> tf.Tensor:
    """Move images by affine maps; beyond their borders they are reflected.

    Linear in the images.

    Args:
      images: `[b h w c]`, h and w above 5.
      inverse: `[b 3 3]`, from (x, y, 1) in a result to (x, y, 1) in its image, both from -1 to 1
        between the borders.
      sampling: `sample_by_matrix` or `sample_by_lookup`.
    """
    upscaled = _upscale(images)
    return _downscale(sampling(upscaled, *_positions(inverse, images.shape, upscaled.shape)))


def _upscale(images: tf.Tensor) -> tf.Tensor:
    """Upscale `[b h w c]` to `[b 2h+10 2w+10 c]`, with what filters make of reflected borders."""
    batch, height, width, channels = images.shape
    margin = [_MARGIN, _MARGIN]
    x = tf.pad(images, [[0, 0], margin, margin, [0, 0]], mode="REFLECT")
    # Between the pixels lie zeros: each of two neighbors upscaled sees every second tap.
    phases = np.sqrt(2.0) * SYM6[::-1].reshape(_TAPS // 2, 2)[:, ::-1]
    kernel = _for_each_channel(phases, channels)
    x = tf.nn.conv2d(x, kernel[tf.newaxis], strides=1, padding="VALID")
    tall, wide = 2 * (height + _MARGIN), 2 * (width + _MARGIN)
    x = tf.reshape(x, [batch, height + 2 * _MARGIN, wide, channels])
    x = tf.nn.conv2d(x, kernel[:, tf.newaxis], strides=1, padding="VALID")
    x = tf.transpose(tf.reshape(x, [batch, tall // 2, wide, 2, channels]), [0, 1, 3, 2, 4])
    return tf.reshape(x, [batch, tall, wide, channels])


def _downscale(images: tf.Tensor) -> tf.Tensor:
    """Downscale `[b 2h+10 2w+10 c]` to `[b h w c]`."""
    kernel = _for_each_channel(SYM6[:, np.newaxis] / np.sqrt(2.0), images.shape[3])
    x = tf.nn.conv2d(images, kernel[:, tf.newaxis], strides=[2, 1], padding="VALID")
    return tf.nn.conv2d(x, kernel[tf.newaxis], strides=[1, 2], padding="VALID")


def _for_each_channel(taps: np.ndarray, channels: int) -> tf.Tensor:
    """Return a kernel `[t c n*c]` that computes n filters, `[t n]`, of each channel."""
    kernel = np.einsum("tn,cd->tcnd", taps, np.eye(channels))
    return tf.constant(kernel.reshape(len(taps), channels, -1), tf.float32)


def _positions(
    inverse: tf.Tensor, shape: tf.TensorShape, upscaled_shape: tf.TensorShape
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return where moved pixels come from, as rows and columns `[b h w]` among upscaled pixels.

    Args:
      inverse: `[b 3 3]`, as of `resample`.
      shape: of the images.
      upscaled_shape: of the upscaled images, `[b h w c]`.
    """
    _, height, width, _ = shape
    _, tall, wide, _ = upscaled_shape
    x = _to_units(np.arange(wide), width)[np.newaxis, np.newaxis, :]
    y = _to_units(np.arange(tall), height)[np.newaxis, :, np.newaxis]
    to_x, to_y = (
        _element(inverse, row, 0) * x + _element(inverse, row, 1) * y + _element(inverse, row, 2)
        for row in range(2)
    )
    return _folded(_from_units(to_y, height), height, tall), _folded(
        _from_units(to_x, width), width, wide
    )


def _element(matrices: tf.Tensor, row: int, column: int) -> tf.Tensor:
    """`[b 1 1]`, an element of each matrix."""
    return matrices[:, row, column, tf.newaxis, tf.newaxis]


def _to_units(index: np.ndarray, size: int) -> np.ndarray:
    """Convert an index among upscaled pixels to a position from -1 to 1 between the borders."""
    return ((index - _CENTER + 1.0) / size - 1.0).astype(np.float32)


def _from_units(position: tf.Tensor, size: int) -> tf.Tensor:
    return (position + 1.0) * size + (_CENTER - 1.0)


def _folded(index: tf.Tensor, size: int, count: int) -> tf.Tensor:
    """Reflect an index outside of [0, count - 1] at the centers of the image's outermost pixels."""
    last = 2.0 * (size - 1)
    distance = tf.math.floormod(index - _CENTER, 2.0 * last)
    reflected = _CENTER + tf.minimum(distance, 2.0 * last - distance)
    return tf.where((index >= 0.0) & (index <= count - 1.0), index, reflected)


def sample_by_matrix(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Sample by the product with a sparse matrix; see `Sampling`. XLA can't compile it.

    On CPUs it takes a third of the time of look-ups, with its gradients a quarter.
    """
    batch, height, width, channels = images.shape
    count = batch * height * width
    top, left, down, right = _split(images, y, x)
    up, back = 1.0 - down, 1.0 - right
    of_image = height * width * tf.range(batch)[:, tf.newaxis, tf.newaxis]
    first = tf.reshape(of_image + tf.cast(top * width + left, tf.int32), [count])
    row = tf.range(count)
    # Each row of the matrix has four weights, at the columns of four neighbors.
    indices = [row, first, row, first + 1, row, first + width, row, first + width + 1]
    weights = [up * back, up * right, down * back, down * right]
    sampled = tf.raw_ops.SparseTensorDenseMatMul(
        a_indices=tf.reshape(tf.stack(indices, axis=1), [4 * count, 2]),
        a_values=tf.reshape(tf.stack(weights, axis=3), [4 * count]),
        a_shape=tf.constant([count, count], tf.int64),
        b=tf.reshape(images, [count, channels]),
    )
    return tf.reshape(sampled, images.shape)


def sample_by_lookup(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Sample by looking up the neighbors of each position; see `Sampling`."""
    batch, height, width, channels = images.shape
    top, left, down, right = _split(images, y, x)
    down, right = down[..., tf.newaxis], right[..., tf.newaxis]
    # Four neighbors are looked up together, which takes a third of the time of four look-ups.
    neighbors = tf.concat(
        [images[:, :-1, :-1], images[:, :-1, 1:], images[:, 1:, :-1], images[:, 1:, 1:]], axis=3
    )
    neighbors = tf.reshape(neighbors, [batch, (height - 1) * (width - 1), 4 * channels])
    index = tf.reshape(tf.cast(top * (width - 1.0) + left, tf.int32), [batch, height * width])
    found = tf.reshape(
        tf.gather(neighbors, index, batch_dims=1), [batch, height, width, 4 * channels]
    )
    a, b, c, d = tf.split(found, 4, axis=3)
    return (a * (1.0 - right) + b * right) * (1.0 - down) + (c * (1.0 - right) + d * right) * down


def _split(
    images: tf.Tensor, y: tf.Tensor, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return rows and columns of the neighbors above and to the left, and distances from them."""
    _, height, width, _ = images.shape
    top, left = tf.minimum(tf.floor(y), height - 2.0), tf.minimum(tf.floor(x), width - 2.0)
    return top, left, y - top, x - left
