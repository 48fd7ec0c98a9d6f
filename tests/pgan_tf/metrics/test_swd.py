import numpy as np
import pytest
from scipy import ndimage

from pgan_tf.metrics.swd import sliced_wasserstein, swd
from tests.helpers import original_metrics as original
from tests.helpers.patches import patches

pytestmark = pytest.mark.slow

SEEDS = 4


def test_distances_lie_within_the_spread_of_the_originals():
    golden = original.load()
    measured = []
    for seed in range(SEEDS):
        reals = patches(golden["reals"], seed=2 * seed)
        fakes = patches(golden["fakes"], seed=2 * seed + 1)
        measured.append(list(swd(reals, fakes, channels=3, seed=seed).values()))
    mean, std = golden["swd_x1e3_mean"], golden["swd_x1e3_std"]
    # Means of 4 and of 8 seeds: within three standard errors of their difference.
    assert (np.abs(np.mean(measured, 0) - mean) < 3 * std * np.sqrt(1 / SEEDS + 1 / 8)).all()


def plain(first, second, directions):
    """Of patches `[n c 49]`, by normalizing copies of them and sorting one direction at a time."""
    first, second = (
        (p - p.mean((0, 2), keepdims=True)) / p.std((0, 2), keepdims=True) for p in (first, second)
    )
    distances = []
    for direction in directions.reshape(len(directions), *first.shape[1:]):
        along = [np.sort((p * direction).sum((1, 2))) for p in (first, second)]
        distances.append(np.abs(along[0] - along[1]).mean())
    return np.mean(distances)


def test_normalizing_while_projecting_is_normalizing_first(rng):
    scale = np.array([1.0, 5.0, 30.0])[:, None]
    first, second = rng.gamma(2, scale, [2, 300, 3, 49])
    first, second = first + 100, second**1.5
    random = np.random.default_rng([1, 9])
    directions = random.standard_normal([512, 147])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    result = sliced_wasserstein(
        first.reshape(300, 147).astype(np.float32),
        second.reshape(300, 147).astype(np.float32),
        channels=3,
        seed=9,
    )
    assert result == pytest.approx(plain(first, second, directions), rel=1e-4)


def plain_bands(image):
    """The two levels of the Laplacian pyramid of `[h w]`, by SciPy's filter."""
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    smaller = ndimage.convolve(image.astype(float), kernel, mode="mirror")[::2, ::2]
    spread = np.zeros(image.shape)
    spread[::2, ::2] = smaller
    return [image - ndimage.convolve(spread, 4 * kernel, mode="mirror"), smaller]


def plain_patches(images, level, seed):
    """`[n * 128 c 49]` of a level of images `[n h w c]`."""
    height, width = images.shape[1] >> level, images.shape[2] >> level
    random = np.random.default_rng([0, seed, *sorted([height, width])])
    corners = random.random([len(images), 128, 2]) * [height - 6, width - 6]
    patches = []
    for image, places in zip(images, corners.astype(int), strict=True):
        bands = [plain_bands(plane)[level] for plane in image.transpose(2, 0, 1)]
        patches += [[b[y : y + 7, x : x + 7].ravel() for b in bands] for y, x in places]
    return np.array(patches)


def test_rectangles_have_the_distances_of_a_plain_computation(rng):
    reals = rng.integers(0, 256, [6, 32, 56, 3]).astype(np.uint8)
    reals = ndimage.gaussian_filter(reals, [0, 2, 1, 0])
    fakes = ndimage.gaussian_filter(reals[::-1], [0, 1, 2, 0])
    found = swd(patches(reals, seed=1), patches(fakes, seed=2), channels=3, seed=7)
    assert list(found) == ["56x32", "28x16", "average"]
    directions = np.random.default_rng([1, 7]).standard_normal([512, 147])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for level, name in enumerate(["56x32", "28x16"]):
        sets = [plain_patches(reals, level, 1), plain_patches(fakes, level, 2)]
        assert found[name] == pytest.approx(1000 * plain(*sets, directions), rel=1e-3)


def test_grayscale_has_the_distance_of_the_same_in_rgb(rng):
    reals = rng.integers(0, 256, [8, 32, 32, 1]).astype(np.uint8)
    fakes = rng.integers(50, 150, [8, 32, 32, 1]).astype(np.uint8)
    gray = swd(patches(reals, seed=1), patches(fakes, seed=2), channels=1)
    in_rgb = swd(
        patches(reals.repeat(3, 3), seed=1), patches(fakes.repeat(3, 3), seed=2), channels=3
    )
    assert gray == pytest.approx(in_rgb, rel=1e-4)


def test_equal_sets_have_no_distance(rng):
    images = rng.integers(0, 256, [4, 16, 16, 3]).astype(np.uint8)
    same = patches(images, seed=1)
    assert swd(same, same, channels=3) == {"16": 0, "average": 0}


def test_a_generator_of_one_color_has_a_finite_distance(rng):
    images = rng.integers(0, 256, [4, 16, 16, 1]).astype(np.uint8)
    black = patches(np.full_like(images, 77), seed=1)
    assert 100 < swd(patches(images, seed=2), black, channels=1)["average"] < 2000


def test_patches_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="two sets of patches"):
        sliced_wasserstein(np.zeros([4, 147]), np.zeros([5, 147]), channels=3)
