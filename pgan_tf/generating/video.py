"""Video files: MP4 by ffmpeg, GIF and WebP by Pillow."""

import contextlib
import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require
from tfrecords_tools.files import user_path, whole_file
from tfrecords_tools.pictures import over_white, to_8_bits

FORMATS = ("mp4", "gif", "webp")
# Small pictures are enlarged: players blur them, and H.264 halves the resolution of colors.
_MIN_SIDE = 512
# Few enough artifacts that the textures in the video are the network's own.
_MP4_OPTIONS = ["-crf", "16", "-preset", "medium", "-movflags", "+faststart"]
# GIFs count hundredths of a second, and players treat fewer than two as ten.
_GIF_TICKS, _GIF_MIN_TICKS = 100, 2
_WEBP_TICKS = 1000
# The prefix of a message: the part of ffmpeg that it comes from, with its address in memory.
_FFMPEG_PART = re.compile(r"^(\[[^\]]*\] *)+")
_ANIMATION_MAX_BYTES = 2 * 2**30
_WEBP_QUALITY = 90


def save_video(path: str | os.PathLike, frames: Iterator[np.ndarray], *, fps: float) -> None:
    """Write a video, whole or not at all; GIF and WebP repeat forever.

    Frames smaller than 512 pixels are enlarged by an integer factor. An MP4 has even sides: odd
    ones are padded by repeating the last row or column. Transparent frames are laid over white, and
    16 bits are rounded to 8.

    Args:
      path: ends in `.mp4`, `.gif` or `.webp`; its directory is made.
      frames: `[h w c]` uint8 or uint16, c from 1 to 4, all of one size, at least one.
      fps: frames per second.

    Raises:
      UserError: `path` has another suffix, the extra `video` is not installed, `fps` is too high
        for a GIF, or ffmpeg fails, as when the disk is full.
    """
    path = user_path(path)
    suffix = path.suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise UserError(f"{path}: a video must be one of {', '.join(FORMATS)}")
    if suffix == "gif" and fps > _GIF_TICKS / _GIF_MIN_TICKS:
        raise UserError(f"--fps must be at most 50 for a GIF. Received: {fps:g}")
    if suffix == "mp4":
        require("imageio_ffmpeg", "video")  # before anything is generated
    path.parent.mkdir(parents=True, exist_ok=True)
    enlarged = map(_as_rgb, frames)
    with whole_file(path) as temporary:
        if suffix == "mp4":
            _save_mp4(temporary, path, enlarged, fps)
        else:
            _save_animation(temporary, enlarged, fps)


def _as_rgb(frame: np.ndarray) -> np.ndarray:
    """Enlarge a frame `[h w c]`, and give it three channels of 8 bits."""
    frame = over_white(to_8_bits(frame))
    factor = max(1, _MIN_SIDE // max(frame.shape[:2]))
    enlarged = frame.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.broadcast_to(enlarged, (*enlarged.shape[:2], 3))


def _save_mp4(path: Path, target: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    """Write a video to the temporary `path`; errors name `target`."""
    first = _with_even_sides(next(frames))
    height, width = first.shape[:2]
    command = [
        require("imageio_ffmpeg", "video").get_ffmpeg_exe(),
        *("-y", "-loglevel", "error"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps)),
        *("-i", "-", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p"),  # for all players
        *_MP4_OPTIONS,
        f"file:{path}",
    ]
    # Not by imageio_ffmpeg's writer, which does not report ffmpeg's errors.
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
        ) as process,
    ):
        stdin = cast(IO[bytes], process.stdin)
        try:
            whole = _feed(stdin, itertools.chain([first], map(_with_even_sides, frames)))
        except BaseException:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                stdin.close()
            raise
        if process.wait() or not whole:
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines()
            reason = _FFMPEG_PART.sub("", said[0]) if said else f"exit code {process.returncode}"
            raise UserError(f"{target}: ffmpeg could not write it: {reason}")


def _feed(stdin: IO[bytes], frames: Iterator[np.ndarray]) -> bool:
    """Write frames to ffmpeg; return False if it ended before the last one."""
    try:
        for frame in frames:
            stdin.write(frame.tobytes())
        stdin.close()
    except BrokenPipeError:
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        return False
    return True


def _with_even_sides(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return np.pad(frame, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")


def _save_animation(path: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    images, repeats = _distinct(path, frames)
    # Durations rounded one by one would add up to another speed.
    ticks = _GIF_TICKS if path.suffix == ".gif" else _WEBP_TICKS
    ends = np.rint(np.cumsum([0, *repeats]) * ticks / fps)
    milliseconds = (np.diff(ends) * 1000 / ticks).astype(int).tolist()
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=milliseconds if len(images) > 1 else milliseconds[0],
        loop=0,
        quality=_WEBP_QUALITY,  # GIFs have none
    )


def _distinct(path: Path, frames: Iterator[np.ndarray]) -> tuple[list[Image.Image], list[int]]:
    """Merge equal consecutive frames; return the images, and how often each is repeated."""
    kept: list[np.ndarray] = []
    repeats: list[int] = []
    for frame in frames:
        if kept and np.array_equal(frame, kept[-1]):
            repeats[-1] += 1
            continue
        kept.append(frame)
        repeats.append(1)
        if len(kept) * frame.size > _ANIMATION_MAX_BYTES:
            raise UserError(
                f"{path.suffix.removeprefix('.')}: more than {len(kept) - 1} frames of "
                f"{frame.shape[1]}x{frame.shape[0]} are too large to be held in memory; make an "
                "mp4, or a shorter or smaller video"
            )
    return [Image.fromarray(np.ascontiguousarray(frame)) for frame in kept], repeats
