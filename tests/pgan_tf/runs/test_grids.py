import numpy as np
import pytest
from PIL import Image

from pgan_tf.runs import grids


def test_latents_of_a_seed_do_not_depend_on_their_number():
    few, many = grids.draw_latents(3, 5, seed=1), grids.draw_latents(9, 5, seed=1)
    np.testing.assert_array_equal(few, many[:3])
    assert (grids.draw_latents(3, 5, seed=2) != few).all()


def test_floats_become_bytes_rounded_and_clipped():
    images = np.array([-2.0, -1.0, -0.996, 0.0, 0.999, 1.0, 3.0])
    np.testing.assert_array_equal(grids.to_uint8(images), [0, 0, 1, 128, 255, 255, 255])


def test_devices_round_as_the_host_does(rng):
    # With every boundary between two levels, the floats next to it, and values outside.
    halves = np.arange(0.5, 255, dtype=np.float32) / np.float32(127.5) - 1
    nearby = [np.nextafter(halves, np.float32(end)) for end in (-2, 2)]
    images = np.concatenate([halves, *nearby, rng.uniform(-1.5, 1.5, 10_000), [-9, 9]])
    images = images.astype(np.float32)
    np.testing.assert_array_equal(grids.quantize(images), grids.to_uint8(images))


def test_images_are_generated_in_batches_and_in_order():
    sizes = []

    def generate(latents, labels):
        sizes.append(len(latents))
        return (latents[:, :1, None, None] + labels[:, :1, None, None]).astype(np.uint8)

    latents, labels = np.arange(7.0)[:, None], np.full([7, 2], 10.0)
    batches = grids.generate_images(generate, latents, labels, batch_size=3)
    np.testing.assert_array_equal(np.concatenate(list(batches)).ravel(), np.arange(10, 17))
    assert sizes == [3, 3, 1]


def test_a_grid_is_filled_row_by_row_and_gaps_are_black():
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones([1, 2, 2, 3], np.uint8)
    grid = grids.make_grid(images, 3)
    np.testing.assert_array_equal(grid[::2, ::2, 0], [[1, 2, 3], [4, 5, 0]])
    assert grid.shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("resolution", "labels", "expected"),
    [
        (32, 0, (16, 10)),
        (1024, 0, (4, 2)),
        (32, 10, (16, 10)),
        (128, 3, (15, 3)),
        (8, 100, (16, 10)),
    ],
)
def test_the_grid_fits_a_screen_with_a_row_for_each_of_few_labels(resolution, labels, expected):
    assert grids.grid_size(resolution, labels) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_reads_back_and_leaves_nothing_else(tmp_path, rng, channels):
    image = rng.integers(0, 256, [4, 6, channels]).astype(np.uint8)
    grids.save_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), image.squeeze())
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_png_that_cannot_be_written_leaves_the_old_one(tmp_path, rng, monkeypatch):
    image = rng.integers(0, 256, [4, 4, 3]).astype(np.uint8)
    grids.save_png(tmp_path / "a.png", image)
    before = (tmp_path / "a.png").read_bytes()

    def fail(self, file, **kwargs):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", fail)
    with pytest.raises(OSError, match="No space left"):
        grids.save_png(tmp_path / "a.png", image[::-1])
    assert (tmp_path / "a.png").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
