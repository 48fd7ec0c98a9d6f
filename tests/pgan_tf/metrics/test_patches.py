import contextlib

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.metrics import patches as module
from pgan_tf.metrics.laplacian_pyramid import laplacian_pyramid, pyramid_function
from pgan_tf.metrics.patches import PatchSampler, swd_sizes
from tests.helpers.patches import patches


def test_patches_are_pieces_of_the_images_own_pyramid(rng):
    image = rng.integers(0, 256, [1, 32, 32, 3]).astype(np.uint8)
    found = patches(image, seed=3)
    for level, band in zip((32, 16), laplacian_pyramid(image, 2), strict=True):
        cut = found[str(level)]
        assert cut.shape == (128, 147)
        pieces = np.lib.stride_tricks.sliding_window_view(band[0], (7, 7), axis=(0, 1))
        pieces = pieces.reshape(-1, 147)
        places = [(pieces == patch).all(1).argmax() for patch in cut]
        assert all((pieces[i] == patch).all() for i, patch in zip(places, cut, strict=True))
        side = level - 6
        # Borders are reached, on every side.
        rows, columns = np.divmod(places, side)
        assert {min(rows), min(columns)} == {0}
        assert {max(rows), max(columns)} == {side - 1}


def test_neither_the_size_of_batches_nor_that_of_groups_matters(rng, monkeypatch):
    images = rng.integers(0, 256, [7, 32, 32, 1]).astype(np.uint8)
    whole = patches(images, seed=5)
    monkeypatch.setitem(module._PIXELS_AT_ONCE, "CPU", 2 * 32**2)
    split = patches(images, seed=5, batch_size=3)
    for level in ("32", "16"):
        np.testing.assert_array_equal(whole[level], split[level])


def test_levels_go_from_the_full_resolution_down_to_16():
    assert swd_sizes(128, 128) == ((128, 128), (64, 64), (32, 32), (16, 16))
    assert swd_sizes(16, 16) == ((16, 16),)


def test_levels_of_rectangles_end_where_the_shorter_side_would_be_below_16():
    assert swd_sizes(64, 96) == ((64, 96), (32, 48), (16, 24))
    assert swd_sizes(72, 56) == ((72, 56), (36, 28))
    assert swd_sizes(60, 68) == ((60, 68), (30, 34))
    assert swd_sizes(16, 256) == ((16, 256),)


@pytest.mark.parametrize("size", [(8, 8), (24, 24), (12, 8), (50, 99)])
def test_an_image_too_small_or_odd_is_refused(size):
    width, height = size
    with pytest.raises(ValueError, match=f"Received: {width}x{height}"):
        swd_sizes(height, width)


def test_images_of_another_shape_or_number_than_announced_are_refused():
    sampler = PatchSampler(2, (16, 16), 3, seed=0)
    with pytest.raises(ValueError, match=r"Received: \[1, 16, 16, 1\]"):
        sampler.add(np.zeros([1, 16, 16, 1], np.uint8))
    with pytest.raises(ValueError, match="expected 2 images of"):
        sampler.add(np.zeros([3, 16, 16, 3], np.uint8))
    with pytest.raises(ValueError, match="Received: 0"):
        sampler.finish()


@contextlib.contextmanager
def uncached_functions():
    """Graphs that are made for the devices of the moment, and forgotten afterwards."""
    functions = (module._patch_function, pyramid_function)
    for function in functions:
        function.cache_clear()
    yield
    for function in functions:
        function.cache_clear()


def test_patches_are_the_same_without_a_compiler_as_on_gpus(rng, monkeypatch):
    images = rng.integers(0, 256, [5, 32, 32, 3]).astype(np.uint8)
    compiled = patches(images, seed=5)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setitem(module._PIXELS_AT_ONCE, "GPU", 2 * 32**2)
    with uncached_functions():
        plain = patches(images, seed=5)
    for level in ("32", "16"):
        np.testing.assert_allclose(plain[level], compiled[level], rtol=0, atol=5e-5)
