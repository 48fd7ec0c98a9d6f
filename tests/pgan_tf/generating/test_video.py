import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from pgan_tf.generating.video import save_video
from tfrecords_tools.errors import UserError


def frames(count=12, height=520, width=514, channels=3):
    """Pictures that brighten from left to right as time goes on."""
    ramp = np.linspace(0, 150, width)[np.newaxis, :, np.newaxis]
    for i in range(count):
        yield np.broadcast_to(ramp + 8 * i, [height, width, channels]).astype(np.uint8)


def read_mp4(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    return meta, [np.frombuffer(f, np.uint8).reshape(height, width, 3) for f in reader]


def test_an_mp4_holds_the_frames_in_a_format_that_every_player_takes(tmp_path):
    save_video(tmp_path / "new" / "v.mp4", frames(), fps=15)
    meta, read = read_mp4(tmp_path / "new" / "v.mp4")
    assert (meta["codec"], meta["fps"], meta["size"]) == ("h264", 15, (514, 520))
    assert meta["pix_fmt"].startswith("yuv420p")
    assert len(read) == 12
    for got, expected in zip(read, frames(), strict=True):
        assert np.abs(got.astype(int) - expected).mean() < 3


def test_sides_of_an_mp4_are_made_even(tmp_path):
    save_video(tmp_path / "v.mp4", frames(3, 515, 513), fps=10)
    assert read_mp4(tmp_path / "v.mp4")[0]["size"] == (514, 516)


def test_small_grayscale_frames_are_enlarged(tmp_path):
    save_video(tmp_path / "v.mp4", frames(3, 30, 40, 1), fps=10)
    assert read_mp4(tmp_path / "v.mp4")[0]["size"] == (480, 360)


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_frames_are_over_white(tmp_path, channels):
    clear = np.zeros([64, 96, channels], np.uint8)
    clear[:, 48:, -1] = 255  # the right half is opaque and black
    save_video(tmp_path / "v.webp", iter([clear]), fps=10)
    with Image.open(tmp_path / "v.webp") as image:
        got = np.asarray(image.convert("RGB"))
    assert got.shape == (320, 480, 3)
    assert got[:, :200].min() > 250 and got[:, 280:].max() < 5


def test_frames_of_16_bits_are_rounded_to_8(tmp_path):
    frame = np.full([512, 512, 1], 128 * 257, np.uint16)
    save_video(tmp_path / "v.gif", iter([frame]), fps=10)
    with Image.open(tmp_path / "v.gif") as image:
        assert (np.asarray(image.convert("L")) == 128).all()


@pytest.mark.parametrize(("suffix", "tolerance"), [("gif", 4), ("webp", 4)])
@pytest.mark.parametrize("fps", [10, 30])
def test_animations_hold_the_frames_repeat_and_keep_time(tmp_path, suffix, tolerance, fps):
    save_video(tmp_path / f"v.{suffix}", frames(), fps=fps)
    with Image.open(tmp_path / f"v.{suffix}") as image:
        assert (image.size, image.n_frames) == ((514, 520), 12)
        durations = []
        for i, expected in enumerate(frames()):
            image.seek(i)
            got = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(got - expected).mean() < tolerance
            durations.append(image.info["duration"])
        assert image.info["loop"] == 0  # for ever
    assert sum(durations) == pytest.approx(12_000 / fps, abs=5)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_repeated_frame_is_a_longer_one(tmp_path, suffix):
    first, second = frames(2)
    save_video(tmp_path / f"v.{suffix}", iter([first] * 5 + [second] * 10), fps=10)
    with Image.open(tmp_path / f"v.{suffix}") as image:
        durations = []
        for i in range(image.n_frames):
            image.seek(i)
            image.load()
            durations.append(image.info["duration"])
    assert durations == [500, 1000]


def test_an_animation_larger_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pgan_tf.generating.video._ANIMATION_MAX_BYTES", 5 * 514 * 520 * 3)
    with pytest.raises(
        UserError, match="more than 5 frames of 514x520 are too large.* make an mp4"
    ):
        save_video(tmp_path / "v.gif", frames(), fps=10)
    assert list(tmp_path.iterdir()) == []


def test_one_frame_is_enough(tmp_path):
    for suffix in ("mp4", "gif", "webp"):
        save_video(tmp_path / f"v.{suffix}", frames(1), fps=10)
        assert (tmp_path / f"v.{suffix}").stat().st_size > 0


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_nothing_is_left_of_a_video_that_fails(tmp_path, suffix):
    def broken():
        yield from frames(3)
        raise UserError("a broken frame")

    with pytest.raises(UserError, match="a broken frame"):
        save_video(tmp_path / f"v.{suffix}", broken(), fps=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reads", ["head -c 100000", "cat"])
def test_the_error_of_ffmpeg_is_reported_in_one_line(tmp_path, monkeypatch, reads):
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"#!/bin/sh\n{reads} > /dev/null\n"
        "echo '[out#0/mp4 @ 0x55] Error writing trailer: No space left on device' >&2\n"
        "echo 'Conversion failed!' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(program))
    output = tmp_path / "out"
    with pytest.raises(
        UserError,
        match=r"^\S*out/v\.mp4: ffmpeg could not write it: Error .*: No space left on device$",
    ):
        save_video(output / "v.mp4", frames(), fps=10)
    assert list(output.iterdir()) == []


def test_a_video_that_cannot_be_written_is_refused_before_the_first_frame(tmp_path, monkeypatch):
    def never():
        raise AssertionError
        yield

    with pytest.raises(UserError, match="must be one of mp4, gif, webp"):
        save_video(tmp_path / "v.avi", never(), fps=10)
    with pytest.raises(UserError, match="at most 50 for a GIF. Received: 60"):
        save_video(tmp_path / "v.gif", never(), fps=60)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"pip install 'pgan_tf\[video\]'"):
        save_video(tmp_path / "v.mp4", never(), fps=10)
