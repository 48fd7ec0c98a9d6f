import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from pgan_tf.metrics.ms_ssim import SCALE_WEIGHTS, ms_ssim
from tests.helpers import original_metrics as original


def test_pairs_are_as_similar_as_the_original_finds_them():
    golden = original.load()
    reals = golden["reals"]
    # The original's own rounding is as large: it computes in float32.
    assert ms_ssim(reals[::2], reals[1::2]).mean() == pytest.approx(golden["ms_ssim"][0], abs=2e-6)
    pairs = ms_ssim(reals[0:8:2], reals[1:8:2])
    np.testing.assert_allclose(pairs, golden["pair_ms_ssim"], rtol=0, atol=2e-6)


def plain(first, second):
    """One pair `[h w]`, by SciPy's filter, cut where the window would leave the image."""
    result = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        size = min(11, *first.shape)
        at = np.arange(size) - (size - 1) / 2
        window = np.exp(-(at[:, None] ** 2 + at**2) / 2 / (1.5 * size / 11) ** 2)
        window /= window.sum()
        keep = tuple(slice(size // 2, size // 2 + side - size + 1) for side in first.shape)

        def mean(image, window=window, keep=keep):
            return ndimage.correlate(image, window)[keep]

        m1, m2 = mean(first), mean(second)
        v1, v2 = mean(first**2) - m1**2, mean(second**2) - m2**2
        c1, c2 = 2.55**2, 7.65**2
        structure = (2 * (mean(first * second) - m1 * m2) + c2) / (v1 + v2 + c2)
        luminance = (2 * m1 * m2 + c1) / (m1**2 + m2**2 + c1)
        value = structure if scale < 4 else structure * luminance
        result *= max(value.mean(), 0) ** weight
        if scale < 4:
            # At an odd side, the mean of the last pixel alone.
            first, second = (
                ndimage.uniform_filter(i, 2, origin=-1)[::2, ::2] for i in (first, second)
            )
    return result


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (64, 64), (16, 24), (56, 40), (30, 34)])
def test_a_plain_computation_agrees_where_windows_shrink_too(rng, size):
    first = ndimage.gaussian_filter(rng.uniform(0, 255, size), 1)
    second = 0.7 * first + 0.3 * rng.uniform(0, 255, size)
    result = ms_ssim(first[None, :, :, None], second[None, :, :, None])
    assert result == pytest.approx(plain(first, second), rel=1e-9)


def test_large_rectangles_are_as_similar_as_tensorflow_finds_them(rng):
    first = ndimage.gaussian_filter(rng.uniform(0, 255, [2, 180, 200, 1]), [0, 2, 2, 0])
    second = 0.6 * first + 0.4 * rng.uniform(0, 255, first.shape)
    theirs = tf.image.ssim_multiscale(first.astype(np.float32), second.astype(np.float32), 255)
    np.testing.assert_allclose(ms_ssim(first, second), theirs, rtol=1e-4)


def test_equal_images_are_wholly_similar_and_opposite_ones_not_at_all(rng):
    images = rng.integers(0, 256, [2, 32, 32, 3]).astype(np.uint8)
    np.testing.assert_allclose(ms_ssim(images, images), 1, rtol=1e-12)
    assert (ms_ssim(images, 255 - images) == 0).all()


def test_grayscale_is_as_similar_as_the_same_in_rgb(rng):
    first, second = rng.integers(0, 256, [2, 3, 16, 16, 1]).astype(np.uint8)
    in_rgb = ms_ssim(first.repeat(3, 3), second.repeat(3, 3))
    np.testing.assert_allclose(ms_ssim(first, second), in_rgb, rtol=1e-9)


def test_shapes_that_differ_or_are_too_small_are_refused():
    with pytest.raises(ValueError, match=r"\[2, 16, 16, 1\] and \[1, 16, 16, 1\]"):
        ms_ssim(np.zeros([2, 16, 16, 1]), np.zeros([1, 16, 16, 1]))
    with pytest.raises(ValueError, match="16x16 or larger. Received: 8x8"):
        ms_ssim(np.zeros([2, 8, 8, 1]), np.zeros([2, 8, 8, 1]))
    with pytest.raises(ValueError, match="16x16 or larger. Received: 24x12"):
        ms_ssim(np.zeros([2, 12, 24, 1]), np.zeros([2, 12, 24, 1]))
