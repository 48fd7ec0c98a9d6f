"""Images of any shape, with alpha and of 16 bits, as pictures, sheets and videos."""

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from pgan_tf.cli import generate as command
from pgan_tf.generating.latents import looping_walks
from pgan_tf.generating.sampler import Sampler
from pgan_tf.runs.grids import draw_latents, make_grid, to_uint8, to_uint16
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tfrecords_tools.pictures import over_checkerboard, over_white, to_8_bits
from tfrecords_tools.shape import Base

pytestmark = pytest.mark.slow

TALL = {"base": Base(height=6, width=4)}  # 12x8 pixels at resolution 8


@pytest.fixture
def network(tmp_path):
    return tmp_path / "g.keras"


def call(network, output, *flags):
    return command.main([f"--network={network}", f"--output={output}", *flags])


def latents_of(count, seed=0):
    return draw_latents(count, LATENT_SIZE, seed=seed)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_a_png_has_the_images_channels_and_a_grid_shows_them(network, tmp_path, channels, mode):
    model = save_tiny_generator(network, channels=channels, options=TALL)
    assert call(network, tmp_path / "out", "--num_images=5") == 0
    expected = to_uint8(model(latents_of(5)))
    for number in range(5):
        with Image.open(tmp_path / "out" / f"00000{number}.png") as image:
            assert (image.size, image.mode) == ((8, 12), mode)
            difference = np.asarray(image).astype(int) - expected[number].squeeze()
            assert np.abs(difference).max() <= 1
    with Image.open(tmp_path / "out" / "grid.png") as grid:
        # Three columns of tall images are nearer to a square than two.
        assert (grid.size, grid.mode) == ((24, 24), mode.removesuffix("A"))
        shown = make_grid(over_checkerboard(expected), 3).squeeze()
        assert np.abs(np.asarray(grid).astype(int) - shown).max() <= 2


def test_16_bits_are_kept_by_pictures_and_rounded_in_grids(network, tmp_path):
    model = save_tiny_generator(network, channels=1, options=TALL, description={"bits": 16})
    assert call(network, tmp_path / "out", "--num_images=4", "--truncation=0.9") == 0
    assert call(network, tmp_path / "out", "--num_images=4", "--overwrite") == 0
    expected = to_uint16(model(latents_of(4)))
    assert len(np.unique(expected % 257)) > 50  # more than 8 bits
    for number in range(4):
        with Image.open(tmp_path / "out" / f"00000{number}.png") as image:
            assert (image.size, image.mode) == ((8, 12), "I;16")
            difference = np.asarray(image).astype(int) - expected[number, :, :, 0]
            assert np.abs(difference).max() <= 2
    with Image.open(tmp_path / "out" / "grid.png") as grid:
        assert grid.mode == "L"
        shown = make_grid(to_8_bits(expected), 3)[:, :, 0]
        assert np.abs(np.asarray(grid).astype(int) - shown).max() <= 1


@pytest.mark.parametrize(
    ("base", "count", "columns"),
    [
        (Base(6, 4), 4, 3),
        (Base(4, 6), 4, 2),
        (Base(4, 16), 16, 2),
        (Base(16, 4), 16, 8),
        (Base(16, 4), 3, 3),
        (Base(4, 16), 1, 1),
    ],
)
def test_grids_of_rectangles_are_about_square(network, tmp_path, base, count, columns):
    save_tiny_generator(network, resolution=4, channels=1, options={"base": base})
    assert call(network, tmp_path / "out", f"--num_images={count}") == 0
    rows = -(-count // columns)
    with Image.open(tmp_path / "out" / "grid.png") as grid:
        assert grid.size == (columns * base.width, rows * base.height)


@pytest.mark.parametrize(("channels", "bits", "mode"), [(2, 8, "L"), (4, 8, "RGB"), (1, 16, "L")])
def test_tables_and_sums_are_sheets_of_8_bits_without_alpha(
    network, tmp_path, channels, bits, mode
):
    description = {"bits": bits}
    save_tiny_generator(
        network, channels=channels, label_size=2, options=TALL, description=description
    )
    assert call(network, tmp_path / "t", "--table", "--num_images=3") == 0
    assert call(network, tmp_path / "a", "--arithmetic=1-2,3+4-5") == 0
    for path, columns, rows in (("t/table.png", 3, 2), ("a/arithmetic.png", 4, 4)):
        with Image.open(tmp_path / path) as sheet:
            assert sheet.mode == mode
            # Images are 96 wide so that captions fit, 144 high, with a line of text below each.
            assert sheet.width == 96 * columns
            height = sheet.height / rows
            assert 144 < height < 200
            assert len(np.unique(np.asarray(sheet)[:144])) > 10
            if path == "a/arithmetic.png":  # a gap before the result of two terms
                assert not np.asarray(sheet)[: int(height), 2 * 96 : 3 * 96].any()


@pytest.mark.parametrize(
    ("channels", "bits", "remark"), [(4, 8, "over white"), (2, 8, "over white"), (1, 16, None)]
)
def test_a_video_of_transparent_images_is_over_white_and_says_so(
    network, tmp_path, capsys, channels, bits, remark
):
    model = save_tiny_generator(
        network, channels=channels, options=TALL, description={"bits": bits}
    )
    flags = ("--video=interpolation", "--format=webp", "--seconds=0.2", "--fps=10")
    assert call(network, tmp_path / "out", *flags, "--num_images=2") == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed.endswith(f", transparent images {remark}" if remark else "interpolation.webp")
    walks = looping_walks(2, 2, LATENT_SIZE, smoothing=0.2, seed=0)
    with Image.open(tmp_path / "out" / "interpolation.webp") as video:
        assert video.size == (32 * 2 * 8, 32 * 12)
        got = np.asarray(video.convert("RGB").resize((16, 12), Image.Resampling.BOX)).astype(int)
    expected = make_grid(over_white(to_uint8(model(walks[:, 0]))), 2)
    assert np.abs(got - expected).mean() < 12  # WebP is lossy


def test_an_mp4_of_odd_rectangles_has_even_sides(network, tmp_path):
    odd = {"base": Base(height=5, width=7)}
    save_tiny_generator(network, resolution=4, channels=4, options=odd)
    flags = ("--video=interpolation", "--seconds=0.2", "--fps=10", "--num_images=1")
    assert call(network, tmp_path / "out", *flags) == 0
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "out" / "interpolation.mp4"))
    assert next(reader)["size"] == (7 * 73 + 1, 5 * 73 + 1)
    reader.close()


def test_a_sampler_says_what_its_images_are(network):
    save_tiny_generator(network, channels=2, options=TALL)
    sampler = Sampler(network)
    assert (sampler.resolution, sampler.height, sampler.width) == (8, 12, 8)
    assert (sampler.channels, sampler.bits) == (2, 8)
    (image,) = sampler.draw(latents_of(1), None)
    assert image.shape == (12, 8, 2) and image.dtype == np.uint8
    save_tiny_generator(network, channels=1, description={"bits": 16})
    sampler = Sampler(network)
    assert (sampler.resolution, sampler.bits) == (8, 16)
    (image,) = sampler.draw(latents_of(1), None)
    assert image.dtype == np.uint16
