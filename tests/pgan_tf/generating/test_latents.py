import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from pgan_tf.generating.latents import (
    evaluate_arithmetic,
    looping_walks,
    parse_arithmetic,
    read_latents,
)
from pgan_tf.runs.grids import draw_latents
from tfrecords_tools.errors import UserError


def test_latents_are_read_as_float32(tmp_path):
    latents = np.arange(12).reshape(3, 4)
    np.save(tmp_path / "z.npy", latents)
    read = read_latents(tmp_path / "z.npy", 4)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, latents)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros([3, 5]), r"must have the shape \[n 4\]. Received: \[3, 5\]"),
        (np.zeros([4]), r"Received: \[4\]"),
        (np.zeros([0, 4]), r"Received: \[0, 4\]"),
        (np.zeros([3, 4], complex), "must hold real numbers. Received: complex128"),
        (np.array([[0, 0, 0, 0], [0, np.nan, 0, 0]]), "row 1 is not finite"),
        (np.full([1, 4], 1e300), "row 0 is not finite in float32"),
        (np.array([["a"] * 4], object), "not an .npy file of numbers"),
        (b"no array", "not an .npy file of numbers"),
        (b"", "not an .npy file of numbers"),
        (None, "No such file"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_file_of_anything_else_is_refused(tmp_path, content, message):
    path = tmp_path / "z.npy"
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_latents(path, 4)
    assert str(path) in str(caught.value)


def test_an_archive_of_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "z.npz", np.zeros([1, 4]))
    with pytest.raises(UserError, match="Received: an archive"):
        read_latents(tmp_path / "z.npz", 4)


def test_walks_are_white_noise_filtered_by_a_gaussian_that_wraps_around():
    walks = looping_walks(2, 90, 3, smoothing=4.0, seed=5)
    noise = np.random.default_rng(5).standard_normal([2, 90, 3])
    filtered = gaussian_filter1d(noise, 4.0, axis=1, mode="wrap", truncate=8.0)
    # The same but for the scale, which is known for independent normal values.
    scale = np.linalg.norm(gaussian_filter1d(np.eye(90)[0], 4.0, mode="wrap", truncate=8.0))
    np.testing.assert_allclose(walks, filtered / scale, atol=1e-4)


def test_latents_of_every_frame_are_standard_normal():
    walks = looping_walks(50, 40, 100, smoothing=5.0, seed=0)
    np.testing.assert_allclose(walks.std(axis=(0, 2)), 1.0, atol=0.05)


def test_a_walk_steps_from_its_last_frame_to_its_first_as_between_any_others():
    walks = looping_walks(20, 60, 64, smoothing=4.0, seed=1)
    steps = np.linalg.norm(np.roll(walks, -1, axis=1) - walks, axis=2).mean(axis=0)
    assert steps.max() < 1.3 * steps.min()
    assert steps.max() < 0.4 * np.linalg.norm(walks, axis=2).mean()


def test_walks_of_a_seed_do_not_depend_on_how_many_there_are():
    few, many = (looping_walks(n, 10, 4, smoothing=1.0, seed=3) for n in (2, 5))
    np.testing.assert_array_equal(few, many[:2])


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("7", [(1, 7)]),
        ("1-2+3", [(1, 1), (-1, 2), (1, 3)]),
        (" -4 + 10", [(-1, 4), (1, 10)]),
    ],
)
def test_arithmetic_is_a_sum_of_seeds(text, terms):
    assert parse_arithmetic(text) == terms


@pytest.mark.parametrize("text", ["", "a", "1*2", "1--2", "1-", "1.5", "1 2x"])
def test_anything_else_is_refused(text):
    with pytest.raises(UserError, match="--arithmetic must be seeds with"):
        parse_arithmetic(text)


def test_a_sum_has_the_direction_of_the_sum_and_the_length_of_latents():
    latents = evaluate_arithmetic([(1, 1), (-1, 2), (1, 3)], 16)
    a, b, c = (draw_latents(1, 16, seed=seed)[0] for seed in (1, 2, 3))
    np.testing.assert_array_equal(latents[:3], [a, b, c])
    total = a - b + c
    np.testing.assert_allclose(latents[3], total * 4 / np.linalg.norm(total), rtol=1e-5)


def test_a_sum_of_zero_is_not_divided_by_its_length():
    latents = evaluate_arithmetic([(1, 1), (-1, 1)], 8)
    np.testing.assert_array_equal(latents[-1], np.zeros(8))
