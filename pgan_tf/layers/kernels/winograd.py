"""3x3 convolutions of small images by Winograd's minimal filtering.

Images and kernels are transformed so that convolution becomes multiplication:

    y = outputs @ ((kernel @ w) * (inputs @ x))

with 36 products for 4x4 pixels where sums over the kernel take 144: F(4x4, 3x3) of Lavin and Gray,
"Fast algorithms for convolutional neural networks" (2016). Here a transform is one matrix for all
pixels of an image, so only matrix products remain, in gradients of any order too. That pays for
images so small that these matrices are small (docs/development/performance.md).
"""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_TILE, _KERNEL = 4, 3
# Where polynomials are evaluated, besides infinity. These are nearly the points that cost the least
# precision: rounding errors in float32 are about twice a direct convolution's.
_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
# Up to this share of a direct convolution's multiplications, this was measured to be faster.
_WORTH = 0.8


class Transforms(NamedTuple):
    """Matrices that transform images of one size, kernels, and their products back to images.

    Attributes:
      inputs: `[products pixels]`.
      kernel: `[36 9]`.
      outputs: `[pixels products]`. The products are 36 for each tile, and their first axis runs
        over the 36.
    """

    inputs: np.ndarray
    kernel: np.ndarray
    outputs: np.ndarray


def is_faster(x: tf.Tensor, kernel: tf.Tensor) -> bool:
    """Return whether `convolve` was measured to train faster than a direct convolution.

    Only on CPUs and in float32: in bfloat16 errors would be 1/40 of the output, and cuDNN chooses
    between algorithms itself. Not where the size of the batch is unknown, as in exported models,
    because the kernel is transformed anew for each batch.

    Args:
      x: `[b h w in]`.
      kernel: `[k k in out]`.
    """
    batch, height, width, channels = x.shape
    if None in (batch, height, width) or height != width or height % _TILE:
        return False
    if kernel.shape[:2] != [_KERNEL, _KERNEL] or x.dtype != tf.float32:
        return False
    if tf.config.list_physical_devices("GPU"):
        return False
    return _share(batch, height, channels, kernel.shape[3]) <= _WORTH


def convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve with stride 1 and same padding.

    Args:
      x: `[b s s in]`, s a multiple of 4.
      kernel: `[3 3 in out]`.

    Returns:
      `[b s s out]`.
    """
    size = x.shape[1]
    batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    channels, filters = kernel.shape[2:]
    transforms = transforms_of(size)
    to_products, kernel_to_products, to_pixels = (tf.constant(m, x.dtype) for m in transforms)
    count = len(transforms.kernel)
    # Pixels first: then a transform of all images is one product of large matrices, and between
    # them one for each of the 36 exchanges features, of the tiles of all images at once.
    x = tf.transpose(tf.reshape(x, [batch, size * size, channels]), [1, 0, 2])
    x = tf.matmul(to_products, tf.reshape(x, [size * size, batch * channels]))
    kernel = tf.matmul(kernel_to_products, tf.reshape(kernel, [_KERNEL**2, channels * filters]))
    y = tf.matmul(tf.reshape(x, [count, -1, channels]), tf.reshape(kernel, [count, channels, -1]))
    y = tf.matmul(to_pixels, tf.reshape(y, [-1, batch * filters]))
    y = tf.transpose(tf.reshape(y, [size * size, batch, filters]), [1, 0, 2])
    return tf.reshape(y, [batch, size, size, filters])


@functools.cache
def transforms_of(size: int) -> Transforms:
    """Return the transforms of images of `size` x `size` pixels, in float64."""
    # In two dimensions each matrix is the Kronecker product of a row's with itself, but with both
    # axes of tiles behind those of products.
    inputs, kernel, outputs = _toom_cook()
    tiles, products = size // _TILE, len(kernel)
    padded = np.eye(size + _KERNEL - 1, size, -1)  # zeros around the image
    starts = _TILE * np.arange(tiles)
    from_pixels = np.stack([inputs @ padded[i : i + products] for i in starts], axis=1)
    to_pixels = np.einsum("if,tu->tifu", outputs, np.eye(tiles)).reshape(size, products, tiles)
    return Transforms(
        np.einsum("fti,guj->fgtuij", from_pixels, from_pixels).reshape(-1, size**2),
        np.kron(kernel, kernel),
        np.einsum("ift,jgu->ijfgtu", to_pixels, to_pixels).reshape(size**2, -1),
    )


def _toom_cook() -> Transforms:
    """Return the transforms of one row of a tile: 6 pixels, 3 weights, 4 sums."""
    # Toom and Cook's product of two polynomials: their values at enough points, multiplied, and
    # interpolated. A correlation is the transpose of a product.
    count = _TILE + _KERNEL - 1

    def values(coefficients: int) -> np.ndarray:
        at_infinity = np.eye(coefficients)[-1:]
        return np.vstack([np.vander(_POINTS, coefficients, increasing=True), at_infinity])

    inputs, kernel, outputs = np.linalg.inv(values(count)).T, values(_KERNEL), values(_TILE).T
    # Rows of one length, so that no product is much larger than others.
    lengths = np.linalg.norm(inputs, axis=1), np.linalg.norm(kernel, axis=1)
    return Transforms(
        inputs / lengths[0][:, None],
        kernel / lengths[1][:, None],
        outputs * np.prod(lengths, axis=0),
    )


def _share(batch: int, size: int, channels: int, filters: int) -> float:
    """Return the multiplications of `convolve`, as a share of a direct convolution's."""
    products = (_TILE + _KERNEL - 1) ** 2
    points = products * (size // _TILE) ** 2
    image = points * (channels * filters + size**2 * (channels + filters))
    kernel = products * _KERNEL**2 * channels * filters
    return (batch * image + kernel) / (batch * (size * _KERNEL) ** 2 * channels * filters)
