"""Image-space filtering: amplification or attenuation of four frequency bands.

The fourth group of ADA (Karras et al. 2020, appendix B, "Image-space filtering").
"""

import numpy as np
import tensorflow as tf

from pgan_tf.augmentation.operation import Operation, columns, lognormal, per_image

# The scaling filter of Daubechies's wavelet with 2 vanishing moments, sym2 or D4: the sum of
# squares is 1.
SYM2 = np.array([1 - 3**0.5, 3 - 3**0.5, 3 + 3**0.5, 1 + 3**0.5]) / (4 * 2**0.5)
_BANDS = 4
# The share of each band in the power of images, whose spectrum falls as 1/f, from low to high.
_POWER = np.array([10.0, 1.0, 1.0, 1.0], np.float32) / 13.0
_GAIN_OCTAVES = 1.0


def filter_bands(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Multiply each octave of frequencies by a gain of its own, each changed with probability p.

    Args:
      images: `[b h w c]`, h and w of 32 or more.
      noise: `[b 8]`.
      strength: p.
    """
    gains, applied = band_gains(noise, strength)
    planes = tf.transpose(images, [0, 3, 1, 2])  # `[b c h w]`
    for _ in range(2):  # along rows, then along columns
        planes = tf.transpose(_filter_rows(planes, gains), [0, 1, 3, 2])
    filtered = tf.transpose(planes, [0, 2, 3, 1])
    return tf.where(per_image(applied), filtered, images)


def band_gains(noise: tf.Tensor, strength: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return gains `[b 4]` that keep the expected power, and `[b]`, False where all are 1."""
    gains = tf.ones([noise.shape[0], _BANDS])
    applied = noise[:, 0::2] < strength
    for band in range(_BANDS):
        gain = tf.where(applied[:, band], lognormal(noise[:, 2 * band + 1], _GAIN_OCTAVES), 1.0)
        changed = tf.where(
            tf.range(_BANDS) == band, gain[:, tf.newaxis], tf.ones([noise.shape[0], _BANDS])
        )
        power = tf.reduce_sum(_POWER * tf.square(changed), axis=1, keepdims=True)
        gains *= changed / tf.sqrt(power)
    return gains, tf.reduce_any(applied, axis=1)


def filter_bank() -> np.ndarray:
    """Return zero-phase filters `[4 43]` of octaves, from low to high; their sum is a pulse."""
    low = np.convolve(SYM2, SYM2[::-1]) / 2  # passes the lower half of all frequencies
    high = -low * (-1.0) ** np.arange(len(low))  # its center, at 3, is positive
    bank = np.ones([1, 1])
    for _ in range(_BANDS - 1):
        spread = np.zeros([len(bank), 2 * bank.shape[1] - 1])
        spread[:, ::2] = bank
        bands = [np.convolve(row, low) for row in spread]
        margin = (len(bands[0]) - len(high)) // 2
        bank = np.array([*bands, np.pad(high, margin)])
    return bank


def _filter_rows(planes: tf.Tensor, gains: tf.Tensor) -> tf.Tensor:
    """Filter `[b c h w]` along w; beyond their borders, planes are reflected."""
    batch, channels, height, width = planes.shape
    bank = filter_bank()
    margin = bank.shape[1] // 2
    rows = tf.reshape(planes, [batch * channels * height, width, 1])
    rows = tf.pad(rows, [[0, 0], [margin, margin], [0, 0]], mode="REFLECT")
    kernel = tf.constant(bank.T[:, np.newaxis, :], tf.float32)
    bands = tf.nn.conv1d(rows, kernel, stride=1, padding="VALID")
    bands = tf.reshape(bands, [batch, channels * height, width, _BANDS])
    filtered = tf.reduce_sum(bands * gains[:, tf.newaxis, tf.newaxis, :], axis=3)
    return tf.reshape(filtered, planes.shape)


# The filters reach 21 pixels beyond the border.
FILTER = Operation(filter_bands, columns(2 * _BANDS), least_resolution=32)
