"""Writing a pyramid: from a source of images to a finished directory."""

import dataclasses
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfrecords_tools import conversion
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import labels_name, level_name, write_manifest
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.sources.base import Source
from tfrecords_tools.staging import check_output, staged_directory

# The seed with which the original implementation shuffles.
SHUFFLE_SEED = 123
_SPARE_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class WriteOptions:
    """How to write a pyramid, whatever its source.

    Attributes:
      shuffle: whether to shuffle as the original does; otherwise the source's order is kept.
      num_images: how many images to take, in the pyramid's order; None for all.
      num_workers: processes that convert.
      skip_bad_images: whether to leave bad images out, rather than to stop at the first.
      overwrite: whether an existing pyramid may be replaced.
    """

    shuffle: bool = True
    num_images: int | None = None
    num_workers: int = 1
    skip_bad_images: bool = False
    overwrite: bool = False


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been written: number of images and of classes, bytes on disk, seconds taken."""

    count: int
    label_size: int
    bytes: int
    seconds: float
    skipped: int


def write_pyramid(
    source: Source,
    output: str | os.PathLike,
    options: WriteOptions,
    flags: Mapping[str, Any],
    say: Callable[[str], None],
) -> Summary:
    """Writes a source's images as a pyramid, named after its directory.

    The bytes depend on the source, `shuffle` and `num_images` alone, not on the number of workers.

    Args:
      source: the images.
      output: the directory to make.
      options: how.
      flags: what the user asked for, for the manifest.
      say: called with lines for the user.

    Raises:
      UserError: the output is in the way or the disk too small; an image is bad.
    """
    started = time.monotonic()
    target = Path(os.path.abspath(output))
    check_output(target, options.overwrite)
    order = pyramid_order(source.count, options)
    sizes = conversion.level_bytes(len(order), source.channels, source.resolution)
    _check_disk(target, sum(sizes.values()), source, len(order), say)
    with staged_directory(target) as staging:
        conversion.allocate(staging, target.name, sizes)
        try:
            parts = _convert(source, staging, target.name, order, options, say)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UserError(f"--output={target}: the disk filled up; nothing is kept") from error
        skipped = [bad for part in parts for bad in part.skipped]
        if len(skipped) == len(order):
            raise UserError(f"no image could be read; the first: {skipped[0][1]}: {skipped[0][2]}")
        if skipped:
            order = order[~np.isin(order, [index for index, _, _ in skipped])]
            for side, size in sizes.items():
                record_bytes = size // (len(order) + len(skipped))
                conversion.close_gaps(staging / level_name(target.name, side), record_bytes, parts)
        label_size = _write_labels(source, order, staging / labels_name(target.name))
        files = _describe_files(staging)
        manifest = {
            "count": len(order),
            "resolution": source.resolution,
            "channels": source.channels,
            "label_size": label_size,
            "label_names": source.label_names and list(source.label_names),
            "encoding": "raw",
            "shards": 1,
            "shuffled": options.shuffle,
            "source": source.describe(),
            "flags": dict(flags),
            "skipped": [{"file": name, "reason": reason} for _, name, reason in skipped],
            "files": files,
        }
        write_manifest(staging, manifest)
    return Summary(
        count=len(order),
        label_size=label_size,
        bytes=sum(file["bytes"] for file in files.values()),
        seconds=time.monotonic() - started,
        skipped=len(skipped),
    )


def pyramid_order(count: int, options: WriteOptions) -> np.ndarray:
    """Numbers in the source of the pyramid's images, in the pyramid's order, [n] int64.

    Raises:
      UserError: more images are asked for than there are.
    """
    order = np.arange(count)
    if options.shuffle:
        np.random.RandomState(SHUFFLE_SEED).shuffle(order)
    if options.num_images is None:
        return order
    if options.num_images > count:
        raise UserError(
            f"--num_images must be at most {count}, the images there are."
            f" Received: {options.num_images}"
        )
    return order[: options.num_images]


def readable_bytes(size: int) -> str:
    """A size as people write it: 1536 is `1.5 kB`... in steps of 1000, as disks are sold."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _check_disk(
    target: Path, size: int, source: Source, count: int, say: Callable[[str], None]
) -> None:
    size += count * 4 * len(source.label_names or ())
    place = next(parent for parent in target.parents if parent.exists())
    free = shutil.disk_usage(place).free
    say(
        f"Writing {count} images of {source.channels}x{source.resolution}x{source.resolution}"
        f" to {target}: {readable_bytes(size)} needed, {readable_bytes(free)} free"
    )
    if size + _SPARE_BYTES > free:
        raise UserError(
            f"--output={target}: not enough disk: {readable_bytes(size)} needed."
            f" Received: {readable_bytes(free)} free in {place}"
        )


def _convert(
    source: Source,
    staging: Path,
    name: str,
    order: np.ndarray,
    options: WriteOptions,
    say: Callable[[str], None],
) -> list[conversion.Written]:
    """Fills the levels' files; returns what was written where, in order."""
    image_bytes = source.channels * source.resolution**2
    tasks = list(conversion.chunks(order, image_bytes, options.num_workers))
    write = conversion.ChunkWriter(source, staging, name, options.skip_bad_images)
    parts = []
    # Closed, so that after Ctrl-C no worker writes on while the directory is being removed.
    with (
        tqdm(total=len(order), unit=" images", disable=None) as progress,
        closing(run_unordered(write, tasks, min(options.num_workers, len(tasks)))) as results,
    ):
        for part in results:
            parts.append(part)
            progress.update(part.count + len(part.skipped))
    parts.sort(key=lambda part: part.start)
    for part in parts:
        for _, bad, reason in part.skipped:
            say(f"Skipped {bad}: {reason}")
    return parts


def _write_labels(source: Source, order: np.ndarray, path: Path) -> int:
    """Writes the labels in the pyramid's order; returns the number of classes, 0 for no labels."""
    labels = source.labels()
    if labels is None:
        return 0
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(labels[order], np.float32))
    return labels.shape[1]


def _describe_files(directory: Path) -> dict[str, dict[str, Any]]:
    paths = sorted(directory.iterdir())
    with ThreadPoolExecutor() as executor:  # hashlib computes without holding the interpreter
        sums = list(executor.map(_sha256, paths))
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": digest}
        for path, digest in zip(paths, sums, strict=True)
    }


def _sha256(path: Path) -> str:
    digest, block = hashlib.sha256(), bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(memoryview(block)[:size])
    return digest.hexdigest()
