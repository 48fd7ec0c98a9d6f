"""Image files whose transparency is kept."""

import dataclasses
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.helpers.pictures import noise
from tfrecords_tools.cli import prepare
from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.headers import read_header
from tfrecords_tools.image_files.pixels import is_transparent, read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.sources.images import open_images

RGBA = ImagePolicy(channels=4, resolution=4)


@pytest.mark.parametrize("resize", ["lanczos", "box", "nearest"])
@pytest.mark.parametrize("side", [4, 9])
@pytest.mark.parametrize("channels", [2, 4])
def test_hidden_colors_do_not_matter(saved, resize, side, channels):
    pixels = noise(side, side, channels)
    pixels[:, : side // 2, -1] = 0
    policy = dataclasses.replace(RGBA, channels=channels, resize=resize)
    read = read_pixels(saved(pixels), policy)
    pixels[:, : side // 2, :-1] = noise(side, side // 2, channels - 1, seed=1)
    np.testing.assert_array_equal(read_pixels(saved(pixels), policy), read)
    assert read.shape == (channels, 4, 4) and (read[-1] == 0).any() and (read[-1] > 0).any()


def test_scaling_weights_colors_by_alpha(saved):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, 0::2] = [250, 10, 20, 200]
    pixels[:, 1::2] = [10, 250, 20, 50]
    read = read_pixels(saved(pixels), dataclasses.replace(RGBA, resize="box"))
    exact = [(250 * 200 + 10 * 50) / 250, (10 * 200 + 250 * 50) / 250, 20, 125]
    assert (read == np.rint(exact)[:, None, None]).all()


def test_faint_pixels_keep_their_color_when_scaled(saved):
    pixels = np.full((32, 32, 4), [200, 100, 50, 2], np.uint8)
    read = read_pixels(saved(pixels), RGBA)
    assert (read == np.array([200, 100, 50, 2])[:, None, None]).all()


def test_opaque_images_of_any_mode_become_rgba(saved):
    gray = noise(4, 4)
    read = read_pixels(saved(gray), RGBA)
    np.testing.assert_array_equal(read[:3], np.stack([gray] * 3))
    assert (read[3] == 255).all()
    white = Image.new("CMYK", (4, 4), (0, 0, 0, 0))
    assert (read_pixels(saved(white, "x.tif"), RGBA) == 255).all()


def test_a_transparent_color_becomes_alpha(saved):
    pixels = np.full((4, 4, 3), 7, np.uint8)
    pixels[0, 0] = 9
    read = read_pixels(saved(pixels, transparency=(7, 7, 7)), RGBA)
    assert read[3].sum() == read[3, 0, 0] == 255
    assert (read[:3] == 9).all()


def test_padding_is_transparent(saved):
    policy = dataclasses.replace(RGBA, crop="pad", background=(1, 2, 3))
    read = read_pixels(saved(noise(2, 4, 3)), policy)
    assert (read[3, [0, 3]] == 0).all() and (read[3, 1:3] == 255).all()


def test_transparency_is_that_of_pixels_not_of_headers(saved):
    pixels = np.full((4, 4, 4), 255, np.uint8)
    assert not is_transparent(saved(pixels), 100)
    pixels[2, 2, 3] = 254
    assert is_transparent(saved(pixels), 100)
    assert not is_transparent(saved(noise(4, 4)), 100)
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 128, 64])
    assert is_transparent(saved(image, transparency=0), 100)
    assert not is_transparent(saved(image, transparency=1), 100)


@pytest.fixture
def folder(tmp_path):
    """A folder, and a function that puts an image of a mode and alpha into it."""
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def put(folder, name, mode, alpha=255):
    image = Image.new(mode, (8, 8), 90)
    if mode.endswith("A"):
        image.putalpha(255)
        image.putpixel((3, 3), (90,) * (len(mode) - 1) + (alpha,))
    image.save(folder / name)


def channels_of(folder, channels=0, skip=False, said=None, workers=1):
    policy = ImagePolicy(channels, 0)
    say = (said if said is not None else []).append
    return open_images(folder, policy, False, workers, skip, say).channels


@pytest.mark.parametrize(
    ("images", "channels"),
    [
        ((("RGBA", 0), ("RGBA", 255)), 4),
        ((("LA", 100), ("LA", 255)), 2),
        ((("LA", 100), ("RGBA", 255)), 4),
        ((("RGBA", 255), ("RGBA", 255)), 3),
        ((("LA", 255), ("L", None)), 1),
        ((("RGBA", 255), ("RGB", None)), 3),
        ((("LA", 255), ("RGB", None)), 3),
    ],
)
def test_auto_keeps_alpha_that_every_image_has_and_one_uses(folder, images, channels):
    for number, (mode, alpha) in enumerate(images):
        put(folder, f"{number}.png", mode, alpha)
    said = []
    assert channels_of(folder, said=said) == channels
    assert any("images are transparent" in line for line in said) == (channels in (2, 4))


@pytest.mark.parametrize(
    ("mode", "kept", "opaque"), [("RGBA", "rgba", "rgb"), ("LA", "gray_alpha", "gray")]
)
def test_transparent_images_among_others_are_for_the_user_to_decide(folder, mode, kept, opaque):
    put(folder, "1.png", mode[:-1])
    put(folder, "2.png", mode)
    for name in ("3.png", "4.png"):
        put(folder, name, mode, alpha=7)
    expected = (
        rf"photos: 2 of 4 images are transparent, such as .*3\.png, and 1 have no alpha channel:"
        rf" --channels={kept} keeps the transparency, --channels={opaque} puts those images on --b"
    )
    with pytest.raises(UserError, match=expected):
        channels_of(folder)
    assert channels_of(folder, 4) == 4 and channels_of(folder, 3) == 3


def test_several_processes_find_the_same(folder, monkeypatch):
    monkeypatch.setattr("tfrecords_tools.sources.header_scan._DECODED_CHUNK", 1)
    for number in range(9):
        put(folder, f"{number}.png", "RGBA", alpha=255)
    assert channels_of(folder, workers=2) == 3
    put(folder, "9.png", "RGBA", alpha=9)
    assert channels_of(folder, workers=2) == 4


def test_damaged_images_are_found_when_they_are_decoded_unless_they_are_skipped(folder):
    put(folder, "1.png", "RGBA")
    put(folder, "2.png", "RGBA", alpha=0)
    data = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(data[:50] + bytes(len(data) - 50))
    with pytest.raises(UserError, match=r"1\.png: is damaged"):
        channels_of(folder)
    assert channels_of(folder, skip=True) == 4


@pytest.mark.parametrize(
    ("bits", "color_type", "hidden", "shown"),
    [
        (2, 0, [1], [3]),
        (4, 0, [5], [9]),
        (16, 0, [5000], [60000]),
        (16, 2, [5000] * 3, [60000] * 3),
    ],
)
def test_transparent_colors_of_pngs_of_any_depth_are_transparent(
    tmp_path, bits, color_type, hidden, shown
):
    path = tmp_path / "x.png"
    path.write_bytes(png_with_color_key(bits, color_type, hidden, shown))
    assert read_header(path, 1000).has_alpha
    assert is_transparent(path, 1000)
    channels = 2 if color_type == 0 else 4
    image = read_pixels(path, ImagePolicy(channels, 8))
    np.testing.assert_array_equal(image[-1], np.repeat([[0, 255]], 8, 0).repeat(4, 1))
    most = 2**bits - 1
    np.testing.assert_allclose(image[:-1], 255 * shown[0] / most, atol=1)
    opaque = read_pixels(path, ImagePolicy(channels - 1, 8, background=(255, 255, 255)))
    assert (opaque[:, :, :4] == 255).all()


def test_a_transparent_gray_of_16_bits_is_put_on_the_background(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(png_with_color_key(16, 0, [5000], [60000]))
    image = read_pixels(path, ImagePolicy(1, 8, background=(255, 255, 255), bits=16))
    np.testing.assert_array_equal(image[0, 0], [65535] * 4 + [60000] * 4)


def test_transparency_among_grays_of_16_bits_asks_for_a_choice(tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(png_with_color_key(16, 0, [5000], [60000]))
    Image.fromarray(np.full((8, 8), 30000, np.uint16)).save(tmp_path / "y.png")
    arguments = ["--source=images", f"--input={tmp_path}", f"--output={tmp_path}/out", "--bits=16"]
    assert prepare.main(arguments) == 2
    error = capsys.readouterr().err
    assert "1 of 2 images are transparent, such as" in error and "--bits=8 keeps" in error
    assert prepare.main([*arguments, "--channels=gray"]) == 0


def png_with_color_key(bits, color_type, hidden, shown):
    """A PNG of 8x8: its left half of the transparent color."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    values = np.array([hidden] * 4 + [shown] * 4).ravel()
    row = np.unpackbits(values.astype(">u2").view(np.uint8)).reshape(-1, 16)[:, 16 - bits :]
    packed = b"\0" + np.packbits(row.ravel()).tobytes()
    header = struct.pack(">IIBBBBB", 8, 8, bits, color_type, 0, 0, 0)
    key = np.array(hidden, ">u2").tobytes()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", header),
            chunk(b"tRNS", key),
            chunk(b"IDAT", zlib.compress(packed * 8)),
            chunk(b"IEND", b""),
        ]
    )
