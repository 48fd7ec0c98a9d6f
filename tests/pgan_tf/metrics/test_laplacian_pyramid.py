import numpy as np
import pytest
from scipy import ndimage

from pgan_tf.metrics.laplacian_pyramid import downscale, laplacian_pyramid, reconstruct, upscale
from tests.helpers import original_metrics as original

KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def test_levels_are_the_originals():
    golden = original.load()
    pyramid = laplacian_pyramid(golden["reals"][:2], 3)
    for i, level in enumerate(pyramid):
        np.testing.assert_allclose(level, golden[f"laplacian/{i}"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("size", [(2, 2), (4, 4), (16, 16), (6, 14)])
def test_resampling_is_a_convolution_with_mirrored_borders(rng, size):
    image = rng.uniform(0, 255, size).astype(np.float32)
    smooth = ndimage.convolve(image.astype(float), KERNEL, mode="mirror")
    np.testing.assert_allclose(
        downscale(image[None, :, :, None])[0, :, :, 0], smooth[::2, ::2], 1e-5
    )
    spread = np.zeros([2 * size[0], 2 * size[1]])
    spread[::2, ::2] = image
    expected = ndimage.convolve(spread, 4 * KERNEL, mode="mirror")
    np.testing.assert_allclose(upscale(image[None, :, :, None])[0, :, :, 0], expected, 1e-5)


def test_nothing_is_lost(rng):
    images = rng.integers(0, 256, [3, 32, 32, 1]).astype(np.uint8)
    np.testing.assert_allclose(reconstruct(laplacian_pyramid(images, 4)), images, atol=1e-3)


def test_a_flat_image_has_no_details():
    *bands, rest = laplacian_pyramid(np.full([1, 16, 16, 3], 77, np.uint8), 3)
    assert all(np.abs(band).max() == 0 for band in bands)
    assert (rest == 77).all()
