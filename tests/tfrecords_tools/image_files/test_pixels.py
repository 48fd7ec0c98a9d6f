"""Decoding of every kind of image file, against expected pixel values."""

import dataclasses
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tests.helpers.pictures import noise
from tfrecords_tools.image_files import headers
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.headers import read_header
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy

RGB = ImagePolicy(channels=3, resolution=4)
GRAY = ImagePolicy(channels=1, resolution=4)


def test_an_rgb_file_of_the_right_size_is_kept_as_it_is(saved):
    pixels = noise(4, 4, 3)
    read = read_pixels(saved(pixels), RGB)
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["x.bmp", "x.tif", "x.ppm", "x.webp", "x.jp2"])
def test_other_lossless_formats_are_read_too(saved, name):
    pixels = noise(4, 4, 3)
    options = {"x.webp": {"lossless": True}, "x.jp2": {"irreversible": False}}.get(name, {})
    read = read_pixels(saved(pixels, name, **options), RGB)
    np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))


def test_a_jpeg_is_what_pillow_decodes(saved):
    path = saved(noise(4, 4, 3), "x.jpg")
    expected = np.asarray(Image.open(path)).transpose(2, 0, 1)
    np.testing.assert_array_equal(read_pixels(path, RGB), expected)


def test_gray_is_repeated_for_three_channels_and_kept_for_one(saved):
    pixels = noise(4, 4)
    path = saved(pixels)
    np.testing.assert_array_equal(read_pixels(path, GRAY), pixels[None])
    np.testing.assert_array_equal(read_pixels(path, RGB), np.stack([pixels] * 3))


def test_color_becomes_luma_for_one_channel(saved):
    pixels = noise(4, 4, 3)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_pixels(saved(pixels), GRAY)[0] - luma).max() <= 0.51


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_sixteen_bit_gray_is_scaled_not_clipped(saved, name):
    values = noise(4, 4, dtype=np.uint16)
    values[0, :4] = [0, 65535, 128, 129]
    read = read_pixels(saved(values, name), GRAY)[0]
    np.testing.assert_array_equal(read, np.rint(values / 257.0))
    assert read[0].tolist() == [0, 255, 0, 1]


def test_sixteen_bit_color_is_eight_bits_to_within_one(tmp_path):
    values = noise(4, 4, 3, dtype=np.uint16)
    path = tmp_path / "x.png"
    path.write_bytes(png(4, 4, depth=16, color=2, raw=rows(values.astype(">u2"))))
    read = read_pixels(path, RGB).transpose(1, 2, 0)
    assert np.abs(read - values / 257.0).max() <= 1


def test_bilevel_images_are_black_and_white(saved):
    pixels = noise(4, 4) > 127
    read = read_pixels(saved(Image.fromarray(pixels)), GRAY)
    np.testing.assert_array_equal(read[0], pixels * 255)


@pytest.mark.parametrize(
    ("background", "expected"), [((255, 255, 255), 227.5), ((0, 0, 0), 100), ((10, 20, 30), None)]
)
def test_alpha_shows_the_background(saved, background, expected):
    pixels = np.full((4, 4, 4), 200, np.uint8)
    pixels[..., 3] = 128
    policy = dataclasses.replace(RGB, background=background)
    read = read_pixels(saved(pixels), policy)
    exact = 200 * 128 / 255 + np.array(background) * 127 / 255
    assert np.abs(read - exact[:, None, None]).max() <= 1
    if expected:
        assert abs(int(read[0, 0, 0]) - expected) <= 1


def test_invisible_colors_do_not_bleed_into_the_image(saved):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[..., 0] = 255  # red, but fully transparent
    assert (read_pixels(saved(pixels), RGB) == 255).all()


def test_gray_with_alpha_shows_the_background(saved):
    pixels = np.zeros((4, 4, 2), np.uint8)
    pixels[:2, :, 1] = 255
    path = saved(Image.fromarray(pixels, "LA"))
    read = read_pixels(path, GRAY)
    assert (read[0, :2] == 0).all() and (read[0, 2:] == 255).all()
    assert read_header(path, 100).gray


def test_a_palette_becomes_its_colors(saved):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 128, 64])
    read = read_pixels(saved(image), RGB)
    assert read[:, 0, 0].tolist() == [0, 128, 64]
    assert not read_header(saved(image), 100).gray


@pytest.mark.parametrize("name", ["x.png", "x.gif"])
def test_a_palettes_transparency_shows_the_background(saved, name):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 128, 64])
    image.putpixel((0, 0), 1)
    read = read_pixels(saved(image, name, transparency=0), RGB)
    assert read[:, 0, 0].tolist() == [0, 128, 64]
    assert (read[:, 1:] == 255).all()


def test_a_transparent_color_of_an_rgb_png_shows_the_background(saved):
    pixels = np.full((4, 4, 3), 7, np.uint8)
    pixels[0, 0] = 9
    read = read_pixels(saved(pixels, transparency=(7, 7, 7)), RGB)
    assert read[:, 0, 0].tolist() == [9, 9, 9] and (read[:, 1:] == 255).all()


def test_cmyk_becomes_rgb(saved):
    image = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    red, green, blue = read_pixels(saved(image, "x.jpg", quality=100), RGB)[:, 0, 0]
    assert red < 8 and green > 247 and blue > 247


def test_an_animation_shows_its_first_frame(saved):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    path = saved(frames[0], "x.gif", save_all=True, append_images=frames[1:])
    assert read_pixels(path, RGB)[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.webp"])
def test_exif_orientation_is_applied(saved, orientation, name):
    upright = noise(4, 4, 3)
    # How a camera that is held so stores the upright picture.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(np.ascontiguousarray(stored), name, exif=exif, lossless=True)
    np.testing.assert_array_equal(read_pixels(path, RGB), upright.transpose(2, 0, 1))


def test_an_unreadable_exif_block_does_not_spoil_the_image(saved):
    pixels = noise(4, 4, 3)
    read = read_pixels(saved(pixels, exif=b"Exif\x00\x00nothing of the sort"), RGB)
    np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))


def test_the_largest_centered_square_is_taken(saved):
    wide, tall = noise(4, 9, 3), noise(7, 4, 3)
    read = read_pixels(saved(wide), RGB)
    np.testing.assert_array_equal(read, wide[:, 2:6].transpose(2, 0, 1))
    read = read_pixels(saved(tall), RGB)
    np.testing.assert_array_equal(read, tall[1:5].transpose(2, 0, 1))


def test_padding_adds_background_around_the_whole_image(saved):
    policy = dataclasses.replace(RGB, crop="pad", background=(1, 2, 3))
    pixels = noise(2, 4, 3)
    read = read_pixels(saved(pixels), policy).transpose(1, 2, 0)
    np.testing.assert_array_equal(read[1:3], pixels)
    assert (read[[0, 3]] == [1, 2, 3]).all()


def test_padding_of_gray_images_is_the_backgrounds_luma(saved):
    policy = dataclasses.replace(GRAY, crop="pad", background=(255, 0, 0))
    read = read_pixels(saved(noise(2, 4)), policy)
    assert (read[0, [0, 3]] == 76).all()


def test_without_cropping_an_image_that_is_not_square_is_refused(saved):
    policy = dataclasses.replace(RGB, crop="none")
    with pytest.raises(BadImageError, match=r"x.png: is 9x4 pixels, not square; use --crop=center"):
        read_pixels(saved(noise(4, 9, 3)), policy)


@pytest.mark.parametrize("resize", ["lanczos", "bicubic", "bilinear", "box", "nearest"])
def test_a_plain_color_survives_every_filter(saved, resize):
    pixels = np.full((13, 13, 3), (10, 100, 200), np.uint8)
    read = read_pixels(saved(pixels), dataclasses.replace(RGB, resize=resize))
    assert read.shape == (3, 4, 4) and (read == np.array([10, 100, 200])[:, None, None]).all()


def test_box_is_the_mean_and_nearest_a_choice(saved):
    pixels = noise(8, 8)
    path = saved(pixels)
    box = read_pixels(path, dataclasses.replace(GRAY, resize="box"))[0]
    means = pixels.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert np.abs(box - means).max() <= 1  # Pillow rounds after each axis
    nearest = read_pixels(path, dataclasses.replace(GRAY, resize="nearest"))[0]
    assert np.isin(nearest, pixels).all()


def test_lanczos_is_pillows(saved):
    pixels = noise(9, 9, 3)
    expected = Image.fromarray(pixels).resize((4, 4), Image.Resampling.LANCZOS)
    read = read_pixels(saved(pixels), RGB)
    np.testing.assert_array_equal(read.transpose(1, 2, 0), np.asarray(expected))


def test_small_images_are_refused_unless_enlarging_is_allowed(saved):
    path = saved(noise(3, 5, 3))
    with pytest.raises(BadImageError, match=r"is 5x3 pixels, too small for 4x4; .*--allow_upscale"):
        read_pixels(path, RGB)
    read = read_pixels(path, dataclasses.replace(RGB, allow_upscale=True))
    assert read.shape == (3, 4, 4)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    # 2^34 pixels in a file of some hundred bytes: decoding would take 16 GiB.
    path = tmp_path / "bomb.png"
    path.write_bytes(png(1 << 17, 1 << 17, depth=8, color=0, raw=bytes(10_000)))
    with pytest.raises(BadImageError, match=r"bomb.png: .*pixels"):
        read_pixels(path, RGB)


def test_the_limit_of_pixels_is_the_users(saved):
    path = saved(noise(10, 10, 3))
    read_pixels(path, dataclasses.replace(RGB, max_pixels=100))
    with pytest.raises(BadImageError, match=r"has 10x10 pixels, more than --max_pixels=99"):
        read_pixels(path, dataclasses.replace(RGB, max_pixels=99))


def test_a_limit_above_pillows_own_is_obeyed(tmp_path, recwarn):
    path = tmp_path / "large.png"
    side = 20_000  # 400 million pixels; Pillow refuses more than 179 million
    path.write_bytes(png(side, side, depth=1, color=0, raw=bytes((side // 8 + 1) * side)))
    header = read_header(path, max_pixels=side * side)
    assert (header.width, header.height) == (side, side)
    assert not recwarn.list


@pytest.mark.parametrize("compressed", [False, True])
def test_a_png_may_hold_long_texts(saved, compressed):
    array, texts = noise(4, 4, 3), PngImagePlugin.PngInfo()
    texts.add_text("workflow", "0123456789abcdef" * 200_000, zip=compressed)
    texts.add_itxt("prompt", "0123456789abcdef" * 200_000, zip=compressed)
    limits = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    path = saved(array, pnginfo=texts)
    np.testing.assert_array_equal(read_pixels(path, RGB), array.transpose(2, 0, 1))
    assert limits == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)


def test_texts_that_unpack_without_end_are_refused(saved):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("bomb", "0" * (80 << 20), zip=True)
    with pytest.raises(BadImageError, match=r"x\.png: is damaged"):
        read_pixels(saved(noise(4, 4, 3), pnginfo=texts), RGB)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_known_range_are_refused(saved, mode):
    image = Image.new(mode, (4, 4), -1)
    with pytest.raises(BadImageError, match=r"x.tif: has .* pixels, whose range is not known"):
        read_pixels(saved(image, "x.tif"), GRAY)


@pytest.mark.parametrize(
    "content", [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"text", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_image_is_refused_by_name(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(BadImageError, match=r"x.png: is (not an image, or )?damaged"):
        read_pixels(path, RGB)


def test_a_file_that_is_gone_is_said_so(tmp_path):
    with pytest.raises(BadImageError, match=r"x.png: cannot be read: No such file"):
        read_pixels(tmp_path / "x.png", RGB)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_an_image_or_a_users_error_never_a_fault(tmp_path, data):
    kind, options = data.draw(
        st.sampled_from([("PNG", {}), ("JPEG", {}), ("GIF", {}), ("TIFF", {}), ("WEBP", {})])
    )
    file = io.BytesIO()
    Image.fromarray(noise(8, 8, 3)).save(file, kind, **options)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.png"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert read_pixels(path, RGB).shape == (3, 4, 4)
    except BadImageError as error:
        assert error.name == str(path)


def rows(pixels):
    """The rows of a PNG before compression: each is filter type 0, then its bytes."""
    return b"".join(b"\x00" + row.tobytes() for row in pixels)


def png(width, height, depth, color, raw):
    """A PNG file written by hand."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        *((mode, {}) for mode in ("1", "L", "I;16", "LA", "P", "RGB", "RGBA")),
        ("P", {"transparency": 0}),
        ("L", {"transparency": 3}),
        ("RGB", {"transparency": (1, 2, 3), "icc_profile": bytes(500)}),
    ],
)
def test_the_fast_way_to_a_png_header_says_what_pillow_says(tmp_path, monkeypatch, mode, options):
    path = tmp_path / "image.png"
    Image.new(mode, (7, 5)).save(path, **options)
    assert read_header(path, max_pixels=35).has_alpha == (mode.endswith("A") or bool(options))
    fast = headers._png_header(path)
    assert fast is not None and fast == read_header(path, max_pixels=35)
    monkeypatch.setattr(headers, "_png_header", lambda file: None)
    assert fast == read_header(path, max_pixels=35)


def test_a_png_whose_pixels_come_late_is_left_to_pillow(saved):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("workflow", "0123456789abcdef" * 1000)
    path = saved(noise(5, 7, 3), pnginfo=texts, transparency=(1, 2, 3))
    assert headers._png_header(path) is None
    assert read_header(path, 35) == headers.Header(7, 5, gray=False, has_alpha=True)


@pytest.mark.parametrize("at", [0, 13, 19, 24, 25, 31])
def test_a_png_header_that_is_damaged_is_left_to_pillow(tmp_path, at):
    path = tmp_path / "image.png"
    Image.new("RGB", (7, 5)).save(path)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert headers._png_header(path) is None
    with pytest.raises(BadImageError):
        read_header(path, max_pixels=35)
