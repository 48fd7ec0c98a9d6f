"""A video of a run's training, made of the grids that it wrote."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pgan_tf.generating.video import save_video
from pgan_tf.runs.metrics_log import MetricsLog
from pgan_tf.runs.run_directory import (
    FAKES_PATTERN,
    RunDirectory,
    base_of_run,
    format_duration,
)
from tfrecords_tools.errors import UserError
from tfrecords_tools.progress import tracked
from tfrecords_tools.shape import Base
from tfrecords_tools.untrusted.regular_file import open_regular

# The caption's height is this share of the picture's, within bounds in pixels.
_TEXT_SHARE, _TEXT_MIN, _TEXT_MAX = 1 / 30, 11, 40
# Several times the largest grid that training draws.
_MAX_PIXELS = 1 << 27
_BACKGROUND, _TEXT_COLOR = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Grid:
    """One of a run's grids of fakes.

    Attributes:
      file: the PNG.
      kimg: thousands of real images shown until then.
      size: of the stage's images in words; None if the metrics log does not have their resolution.
      seconds: of training until then; None if the metrics log does not have them.
    """

    file: Path
    kimg: float
    size: str | None
    seconds: float | None

    @property
    def caption(self) -> str:
        """Text in the corner of the grid, such as `120.0 kimg   32x32   1h 20m`."""
        parts = [f"{self.kimg:.1f} kimg"]
        if self.size is not None:
            parts.append(self.size)
        if self.seconds is not None:
            parts.append(format_duration(self.seconds))
        return "   ".join(parts)


def find_grids(run_dir: str | os.PathLike) -> list[Grid]:
    """Find a run's grids of fakes, oldest first.

    The time of a grid is that of training alone, summed from the speed at each tick: pauses between
    interrupted and continued runs do not count, nor does the writing of grids and checkpoints.

    Raises:
      UserError: `run_dir` is not a run directory, or has no grids.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise UserError(f"{run_dir}: --video=training needs a run directory")
    matches = [(FAKES_PATTERN.fullmatch(file.name), file) for file in run_dir.iterdir()]
    found = sorted((float(match["kimg"]), file) for match, file in matches if match)
    if not found:
        raise UserError(f"{run_dir}: no grids in it; expected fakes-NNNNNN.png")
    ticks = _read_ticks(RunDirectory(run_dir).metrics_log, base_of_run(run_dir))
    # Names of grids are rounded down to kimg, unless the run writes several per kimg.
    unit = 1e-3 if any("." in file.stem for _, file in found) else 1.0
    return [_at_its_tick(kimg, file, ticks, unit) for kimg, file in found]


def _at_its_tick(
    kimg: float, file: Path, ticks: list[tuple[float, str, float]], unit: float
) -> Grid:
    """Return a grid with the values of the last tick that its name may stand for."""
    if kimg == 0 and ticks:
        return Grid(file, 0.0, ticks[0][1], 0.0)  # drawn before any tick
    within = [tick for tick in ticks if kimg <= tick[0] < kimg + unit]
    return Grid(file, *within[-1]) if within else Grid(file, kimg, None, None)


def _read_ticks(log: MetricsLog, base: Base) -> list[tuple[float, str, float]]:
    """Return kimg, the size of images and seconds of training at each tick."""
    ticks: list[tuple[float, str, float]] = []
    before, seconds = 0.0, 0.0
    for row in log.rows():
        resolution = row.values.get("progress/resolution")
        seconds_per_kimg = row.values.get("speed/seconds_per_kimg")
        if resolution is None or seconds_per_kimg is None:
            continue  # an evaluation
        kimg = row.images_seen / 1000
        seconds += (kimg - before) * seconds_per_kimg
        ticks.append((kimg, base.text_at(int(resolution)), seconds))
        before = kimg
    return ticks


def generate_timelapse(
    run_dir: str | os.PathLike, path: Path, *, seconds: float, fps: float
) -> int:
    """Write a video of a run's grids, each with kimg, image size and time in its corner.

    Time in the video is proportional to images seen. The last grid is shown for another second.

    Args:
      run_dir: the run directory.
      path: ends in `.mp4`, `.gif` or `.webp`.
      seconds: length of the training in the video.
      fps: frames per second.

    Returns:
      The number of grids.

    Raises:
      UserError: there are no grids, a grid can't be read or has another size, or the extra `video`
        is not installed.
    """
    grids = find_grids(run_dir)
    times = np.linspace(grids[0].kimg, grids[-1].kimg, max(2, round(seconds * fps)))
    newest = np.searchsorted([grid.kimg for grid in grids], times, side="right") - 1
    shown = [*newest.tolist(), *[len(grids) - 1] * round(fps)]
    save_video(path, _frames(grids, shown), fps=fps)
    return len(grids)


def _frames(grids: list[Grid], shown: list[int]) -> Iterator[np.ndarray]:
    last, frame = -1, np.zeros([0, 0, 0], np.uint8)
    for index in tracked(shown, len(shown), "frames"):
        if index != last:
            captioned = _captioned(grids[index])
            if last >= 0 and captioned.shape != frame.shape:
                raise UserError(
                    f"{grids[index].file}: must be {frame.shape[1]}x{frame.shape[0]}, as the grids "
                    f"before. Received: {captioned.shape[1]}x{captioned.shape[0]}"
                )
            last, frame = index, captioned
        yield frame


def _captioned(grid: Grid) -> np.ndarray:
    """Return a grid as `[h w 3]` uint8 with the caption in its lower left corner."""
    try:
        # The format is named: under another, a file might reach a program that executes it.
        with open_regular(grid.file) as opened, Image.open(opened, formats=["PNG"]) as file:
            if file.width * file.height > _MAX_PIXELS:
                raise ValueError(f"it has {file.width}x{file.height} pixels")
            image = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{grid.file}: not a picture that can be read: {error}") from error
    size = int(np.clip(image.height * _TEXT_SHARE, _TEXT_MIN, _TEXT_MAX))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    margin = size // 2
    left, top, right, bottom = draw.textbbox((0, 0), grid.caption, font=font)
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    draw.rectangle((0, image.height - height, width, image.height), fill=_BACKGROUND)
    position = (margin - left, image.height - height + margin - top)
    draw.text(position, grid.caption, font=font, fill=_TEXT_COLOR)
    return np.asarray(image)
