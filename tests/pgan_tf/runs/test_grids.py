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
    levels = [0, 0, 131, 32768, 65502, 65535, 65535]
    np.testing.assert_array_equal(grids.to_uint16(images), levels)
    assert grids.to_uint16(images).dtype == np.uint16


@pytest.mark.parametrize(("bits", "convert"), [(8, grids.to_uint8), (16, grids.to_uint16)])
def test_devices_round_as_the_host_does(rng, bits, convert):
    # With every boundary between two levels, the floats next to it, and values outside.
    highest = 2**bits - 1
    halves = np.arange(0.5, highest, dtype=np.float32) / np.float32(highest / 2) - 1
    nearby = [np.nextafter(halves, np.float32(end)) for end in (-2, 2)]
    images = np.concatenate([halves, *nearby, rng.uniform(-1.5, 1.5, 10_000), [-9, 9]])
    images = images.astype(np.float32)
    np.testing.assert_array_equal(grids.quantize(images, bits), convert(images))


def test_every_level_of_16_bits_comes_back():
    levels = np.arange(65536)
    np.testing.assert_array_equal(grids.to_uint16(levels / 32767.5 - 1), levels)


def test_grids_show_8_bits_and_where_images_are_transparent():
    sixteen = np.array([[[[0], [257], [65535]]]], np.uint16)
    np.testing.assert_array_equal(grids.to_display(sixteen).ravel(), [0, 1, 255])
    clear = np.zeros([1, 8, 8, 4], np.uint8)
    shown = grids.to_display(clear)
    assert shown.shape == (1, 8, 8, 3) and len(np.unique(shown)) == 2
    opaque = np.full([1, 8, 8, 2], 255, np.uint8)
    np.testing.assert_array_equal(grids.to_display(opaque), opaque[..., :1])


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
    ("height", "width", "labels", "expected"),
    [
        (32, 32, 0, (16, 10)),
        (1024, 1024, 0, (4, 2)),
        (32, 32, 10, (16, 10)),
        (128, 128, 3, (15, 3)),
        (8, 8, 100, (16, 10)),
        (512, 256, 0, (7, 2)),
        (192, 512, 0, (4, 5)),
        (192, 512, 3, (4, 3)),
    ],
)
def test_the_grid_fits_a_screen_with_a_row_for_each_of_few_labels(height, width, labels, expected):
    assert grids.grid_size(height, width, labels) == expected


@pytest.mark.parametrize(
    ("channels", "dtype", "mode"),
    [
        (1, np.uint8, "L"),
        (2, np.uint8, "LA"),
        (3, np.uint8, "RGB"),
        (4, np.uint8, "RGBA"),
        (1, np.uint16, "I;16"),
    ],
)
def test_a_png_reads_back_and_leaves_nothing_else(tmp_path, rng, channels, dtype, mode):
    image = rng.integers(0, np.iinfo(dtype).max, [4, 6, channels], dtype)
    grids.save_png(tmp_path / "a.png", image)
    with Image.open(tmp_path / "a.png") as read:
        assert read.mode == mode
        np.testing.assert_array_equal(np.asarray(read), image.squeeze())
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
