"""The disk space that a pyramid needs, checked before it is written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.sources.base import Source
from tfrecords_tools.writing.conversion import encode
from tfrecords_tools.writing.layout import Layout
from tfrecords_tools.writing.levels import make_levels

_SPARE_BYTES = 1 << 20
_SAMPLE = 16


def check_disk(
    target: Path, staging: Path, layout: Layout, source: Source, order: np.ndarray,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Tell the user what space a pyramid needs and what is free; refuse a disk that is too small.

    Before PNG images are encoded, only an upper bound of their size is known. If there is less
    space than that, a sample of the images is encoded, and the pyramid's size estimated from it.

    Args:
      target: the output, for messages.
      staging: the directory being written; files of an interrupted run in it count as space.
      layout: the pyramid's files.
      source: the images.
      order: [n] int64, numbers in the source of the pyramid's images.
      say: called with a line for the user.

    Raises:
      UserError: the disk is too small.
    """
    labels = layout.count * 4 * len(source.label_names or ())
    size = layout.count * layout.image_bytes + labels
    written = sum(path.stat().st_blocks * 512 for path in staging.glob("*.tfrecords*"))
    free = shutil.disk_usage(staging).free
    needed, sampled = f"{readable_bytes(size)} needed", ""
    if layout.encoding == "png":
        needed = f"at most {needed}"
        if size + _SPARE_BYTES > free + written:
            size = round(layout.count * _sampled_image_bytes(layout, source, order)) + labels
            sampled = f", about {readable_bytes(size)} judging by {_SAMPLE} of them"
    kept = f", {readable_bytes(written)} of it written already" if written else ""
    say(
        f"Writing {layout.count} images, {layout.image(layout.resolution).text}, to {target}:"
        f" {needed}{sampled}{kept}, {readable_bytes(free)} free"
    )
    if size + _SPARE_BYTES > free + written:
        raise UserError(
            f"--output={target}: not enough disk: {needed}{sampled}{kept}."
            f" Received: {readable_bytes(free)} free in {target.parent}"
        )


def readable_bytes(size: int) -> str:
    """Return a size in units of 1000, as disks are sold: 1536 is `1.5 kB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _sampled_image_bytes(layout: Layout, source: Source, order: np.ndarray) -> float:
    """Return the mean size of an image's records at all levels, from evenly spaced images."""
    chosen = order[np.linspace(0, len(order) - 1, min(_SAMPLE, len(order))).astype(np.int64)]
    sizes = []
    for index in chosen:
        try:
            image = source.load(int(index))
        except BadImageError:
            continue  # reported when it is written
        levels = make_levels(image[None])
        sizes.append(sum(int(encode(level, "png")[1].sum()) + 8 for level in levels))
    return float(np.mean(sizes)) if sizes else layout.image_bytes
