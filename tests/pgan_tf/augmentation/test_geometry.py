"""Geometry against SciPy's interpolation, on NumPy's upscaling and downscaling."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage, stats

from pgan_tf.augmentation.geometry import TRANSFORM, inverse_matrices
from pgan_tf.augmentation.resampling import SYM6, resample, sample_by_lookup, sample_by_matrix

ON, OFF = 0.0, 0.95
BOTH = pytest.mark.parametrize("sampling", [sample_by_matrix, sample_by_lookup])


def reference(image, inverse):
    """Resample one `[h w]` plane, within which all pixels of the result lie."""
    (height, width), margin = image.shape, 12
    padded = np.pad(image, margin, mode="reflect")
    spread = np.zeros([2 * side for side in padded.shape])
    spread[::2, ::2] = padded
    taps = np.sqrt(2) * SYM6
    for axis in range(2):
        spread = np.apply_along_axis(lambda row: np.convolve(row, taps), axis, spread)
    # Pixel i of the padded image is at 2 i + the center of the taps.
    center = (np.arange(12) * SYM6).sum() / SYM6.sum()
    x, y = np.meshgrid(
        *((((np.arange(2 * n + 10) - center) / 2 + 0.5) / n * 2 - 1) for n in (width, height))
    )
    from_x, from_y, _ = np.einsum("ij,jhw->ihw", inverse, np.stack([x, y, np.ones_like(x)]))
    rows, columns = (
        2 * ((unit + 1) / 2 * size - 0.5 + margin) + center
        for unit, size in ((from_y, height), (from_x, width))
    )
    moved = ndimage.map_coordinates(spread, [rows, columns], order=1)
    for axis in range(2):
        moved = np.apply_along_axis(
            lambda row: np.correlate(row, SYM6 / np.sqrt(2), mode="valid")[::2], axis, moved
        )
    return moved


def rotation(angle, scale=1.0):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def test_the_wavelet_is_orthogonal():
    for shift in range(6):
        product = np.dot(SYM6[2 * shift :], SYM6[: 12 - 2 * shift])
        assert product == pytest.approx(float(shift == 0), abs=1e-9)


@BOTH
@pytest.mark.parametrize("width", [16, 24])
@pytest.mark.parametrize(
    "inverse",
    [rotation(0.3, 0.6), rotation(-2.0, 0.65), np.array([[0.7, 0.1, 0.2], [0, 0.8, 0], [0, 0, 1]])],
    ids=["rotated", "turned over", "stretched"],
)
def test_resampling_is_that_of_scipy(rng, inverse, width, sampling):
    images = rng.normal(size=[2, 16, width, 3])
    resampled = resample(
        tf.constant(images, tf.float32),
        tf.constant(np.stack([inverse] * 2), tf.float32),
        sampling,
    )
    for image, result in zip(images, resampled.numpy(), strict=True):
        for channel in range(3):
            expected = reference(image[..., channel], inverse)
            np.testing.assert_allclose(result[..., channel], expected, atol=2e-4)


@BOTH
@pytest.mark.parametrize("size", [8, 64])
def test_a_map_that_moves_nothing_changes_nothing(rng, size, sampling):
    images = rng.normal(size=[2, size, size, 3]).astype(np.float32)
    identity = tf.eye(3, batch_shape=[2])
    resampled = resample(tf.constant(images), identity, sampling)
    np.testing.assert_allclose(resampled, images, atol=1e-4)


@BOTH
def test_whole_pixels_move_and_borders_are_reflected(rng, sampling):
    images = ndimage.gaussian_filter(rng.normal(size=[1, 16, 16, 1]), [0, 2, 2, 0], mode="mirror")
    inverse = np.array([[[1, 0, -2 * 9 / 16], [0, 1, 0], [0, 0, 1]]])  # 9 pixels to the right
    images, inverse = (np.float32(x) for x in (images, inverse))
    moved = resample(tf.constant(images), tf.constant(inverse), sampling).numpy()
    expected = np.pad(images, [(0, 0), (0, 0), (9, 0), (0, 0)], mode="reflect")[:, :, :16]
    np.testing.assert_allclose(moved[:, :, 9:], expected[:, :, 9:], atol=1e-4)
    np.testing.assert_allclose(moved, expected, atol=0.05 * np.abs(images).max())


def test_frequencies_that_a_smaller_image_lacks_are_removed():
    stripes = np.tile([1.0, -1.0], 32)[np.newaxis, np.newaxis, :, np.newaxis]
    stripes = tf.constant(np.broadcast_to(stripes, [1, 64, 64, 1]), tf.float32)
    inverse = tf.constant([np.diag([2.0, 2.0, 1.0])], tf.float32)
    halved = resample(stripes, inverse, sample_by_lookup).numpy()
    assert np.abs(halved[:, 20:-20, 20:-20]).max() < 0.02


def uniforms(**given):
    """Noise `[1 11]` of the named operations."""
    names = ("scale", "rotate", "stretch", "rotate_again")
    noise = []
    for name in names:
        noise += [ON, given[name]] if name in given else [OFF, 0.5]
    noise += [ON, *given["shift"]] if "shift" in given else [OFF, 0.5, 0.5]
    return tf.constant([noise], tf.float32)


def test_each_operation_has_its_distribution():
    """Karras et al. 2020, appendix B: deviations, and the inverses of what is applied."""
    normal = stats.norm.ppf

    def matrix(**given):
        matrices, applied = inverse_matrices(uniforms(**given), tf.constant(0.5))
        assert bool(applied[0]) == bool(given)
        return matrices[0].numpy()

    def check(expected, **given):
        np.testing.assert_allclose(matrix(**given), expected, atol=1e-5)

    factor = np.exp(0.2 * np.log(2) * normal(0.9))
    check(np.eye(3))
    check(np.diag([1 / factor, 1 / factor, 1]), scale=0.9)
    check(np.diag([1 / factor, factor, 1]), stretch=0.9)
    check(rotation(-np.pi / 2), rotate=0.75)
    check(rotation(np.pi / 2), rotate_again=0.25)
    x, y = -0.25 * normal(0.3), -0.25 * normal(0.8)
    check([[1, 0, x], [0, 1, y], [0, 0, 1]], shift=(0.3, 0.8))


def test_rectangles_are_rotated_in_pixels():
    given, strength = uniforms(rotate=0.6, scale=0.8, shift=(0.2, 0.7)), tf.constant(0.5)
    of_square, of_rectangle = (
        inverse_matrices(given, strength, aspect=aspect)[0][0].numpy() for aspect in (1.0, 1.5)
    )
    # From x and y from -1 to 1 to units that are equally long along both.
    to_pixels = np.diag([1.5, 1, 1])
    linear = to_pixels @ of_rectangle @ np.linalg.inv(to_pixels)
    np.testing.assert_allclose(linear[:2, :2], of_square[:2, :2], atol=1e-6)
    # The translation, an eighth of each side, is undone first.
    for matrix in (of_square, of_rectangle):
        np.testing.assert_allclose(
            np.linalg.solve(matrix[:2, :2], matrix[:2, 2]),
            [-0.25 * stats.norm.ppf(0.2), -0.25 * stats.norm.ppf(0.7)],
            atol=1e-4,
        )


def test_operations_follow_each_other_in_the_order_of_the_paper():
    names = {"scale": 0.8, "rotate": 0.6, "stretch": 0.3, "rotate_again": 0.9, "shift": (0.2, 0.7)}
    single = [
        inverse_matrices(uniforms(**{name: value}), tf.constant(0.5))[0][0].numpy()
        for name, value in names.items()
    ]
    whole = inverse_matrices(uniforms(**names), tf.constant(0.5))[0][0].numpy()
    forth = np.linalg.multi_dot([np.linalg.inv(each) for each in single[::-1]])
    np.testing.assert_allclose(np.linalg.inv(whole), forth, atol=1e-4)


def test_rotations_together_are_as_frequent_as_other_operations(rng):
    noise = np.full([4000, 11], OFF, np.float32)
    noise[:, [2, 6]] = rng.uniform(size=[4000, 2])
    _, applied = inverse_matrices(tf.constant(noise), tf.constant(0.6))
    assert np.mean(applied) == pytest.approx(0.6, abs=0.03)


def test_images_without_any_operation_stay_as_they_are(rng):
    images = tf.constant(rng.normal(size=[2, 8, 8, 3]), tf.float32)
    noise = tf.concat([uniforms(), uniforms(scale=0.9)], axis=0)
    first, second = TRANSFORM.apply(images, noise, tf.constant(0.5)).numpy()
    np.testing.assert_array_equal(first, images[0])
    assert np.abs(second - images[1]).max() > 0.1
