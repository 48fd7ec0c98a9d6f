"""The headers of all image files, read before any work, and the choices that they decide."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.decoding import max_file_bytes
from tfrecords_tools.image_files.files import ImageFiles
from tfrecords_tools.image_files.headers import Header, check_size, read_header
from tfrecords_tools.image_files.pixels import is_transparent
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.image_files.reasons import common_reasons
from tfrecords_tools.parallel import WORKER_BYTES, run_unordered
from tfrecords_tools.progress import Progress
from tfrecords_tools.shape import split_size
from tfrecords_tools.sources.shared_flags import channels_name

_SCAN_CHUNK = 500
# Images that are decoded together, to find transparent pixels.
_DECODED_CHUNK = 20
# Starting a process takes longer than a few chunks.
_CHUNKS_PER_WORKER = 4


def complete_policy(
    files: ImageFiles,
    policy: ImagePolicy,
    num_workers: int,
    skip_bad_images: bool,
    say: Callable[[str], None],
) -> ImagePolicy:
    """Read all headers, and choose the number of channels and the resolution where they are 0.

    Raises:
      UserError: there is no usable image, or (unless skipped) a bad one, or the images have no
        channels in common.
    """
    summary = _summarize_headers(files, policy, num_workers, skip_bad_images)
    channels = policy.channels
    if not channels:
        scan = _TransparencyScan(files, policy, skip_bad_images)
        channels = _choose_channels(scan, policy, summary, num_workers)
    chosen = replace(
        policy,
        channels=channels,
        resolution=policy.resolution or _largest_power_of_two(summary),
    )
    if chosen.has_alpha and not policy.channels:
        say(
            f"Channels {channels_name(channels)}: images are transparent;"
            f" --channels={channels_name(channels - 1)} puts them on --background instead"
        )
    if not policy.resolution:
        say(
            f"Resolution {chosen.resolution}x{chosen.resolution}: the smallest image,"
            f" {summary.smallest}, is {_text(summary.size)} pixels"
        )
        width, height = summary.size
        if summary.same_size and width != height and split_size(height, width):
            say(
                f"All images are {_text(summary.size)}: --resolution={_text(summary.size)} keeps"
                " their shape"
            )
    return chosen


@dataclasses.dataclass(frozen=True)
class _HeaderSummary:
    """The headers of many image files.

    Attributes:
      count: number of usable files.
      in_color: a file whose image is not grayscale; None if all are.
      side: side in pixels of the smallest square that cropping leaves.
      smallest: the file of that square.
      size: width and height of its image.
      same_size: True if all images have this size.
      with_alpha: [n] int64, numbers of the files that may be transparent.
    """

    count: int
    in_color: str | None
    side: int
    smallest: str
    size: tuple[int, int]
    same_size: bool
    with_alpha: np.ndarray


@dataclasses.dataclass(frozen=True)
class _HeaderReader:
    """Reads the headers of some files. Sent to each worker."""

    files: ImageFiles
    policy: ImagePolicy
    skip_bad_images: bool

    def __call__(self, indices: np.ndarray) -> tuple[list[str], int, _HeaderSummary | None]:
        """Return why files can't be used, the number of all, and a summary of the usable ones."""
        headers: list[tuple[int, Header, str]] = []
        reasons: list[str] = []
        for index in indices.tolist():
            name = self.files.display_name(index)
            try:
                header = self._header(index)
                check_size(name, header.width, header.height, self.policy)
            except BadImageError as error:
                if not self.skip_bad_images:
                    raise
                reasons.append(error.reason)
            else:
                headers.append((index, header, name))
        if not headers:
            return reasons, len(indices), None
        side, smallest, size = min(
            (
                min(self.policy.cropped_size(header.height, header.width)),
                name,
                (header.width, header.height),
            )
            for _, header, name in headers
        )
        same_size = all((header.width, header.height) == size for _, header, _ in headers)
        in_color = min((name for _, header, name in headers if not header.gray), default=None)
        with_alpha = np.array([i for i, header, _ in headers if header.has_alpha], np.int64)
        summary = _HeaderSummary(
            len(headers), in_color, side, smallest, size, same_size, with_alpha
        )
        return reasons, len(indices), summary

    def _header(self, index: int) -> Header:
        name, max_pixels = self.files.display_name(index), self.policy.max_pixels
        max_bytes = max_file_bytes(max_pixels)
        with contextlib.suppress(BadImageError):
            return read_header(self.files.head(index, max_bytes), max_pixels, name)
        # In some formats the header is not at the beginning.
        return read_header(self.files.open(index, max_bytes), max_pixels, name)


def _summarize_headers(
    files: ImageFiles, policy: ImagePolicy, num_workers: int, skip_bad_images: bool
) -> _HeaderSummary:
    order = files.reading_order()
    tasks = _cut(order, _SCAN_CHUNK)
    read = _HeaderReader(files, policy, skip_bad_images)
    workers = min(num_workers, len(tasks) // _CHUNKS_PER_WORKER)
    summaries: list[_HeaderSummary] = []
    reasons: list[str] = []
    with (
        Progress(len(order), "headers") as progress,
        closing(run_unordered(read, tasks, workers)) as results,
    ):
        for bad, number, summary in results:
            progress.update(number)
            reasons += bad
            if summary is not None:
                summaries.append(summary)
    if not summaries:
        raise UserError(
            f"--input={files.root}: none of its {len(order)} image files can be used: "
            f"{common_reasons(reasons)}"
        )
    smallest = min(summaries, key=lambda summary: (summary.side, summary.smallest))
    colored = [summary.in_color for summary in summaries if summary.in_color is not None]
    return replace(
        smallest,
        count=sum(summary.count for summary in summaries),
        in_color=min(colored, default=None),
        same_size=all(summary.same_size and summary.size == smallest.size for summary in summaries),
        with_alpha=np.sort(np.concatenate([summary.with_alpha for summary in summaries])),
    )


def _choose_channels(
    scan: "_TransparencyScan", policy: ImagePolicy, summary: _HeaderSummary, num_workers: int
) -> int:
    """Return the channels that every image has.

    Raises:
      UserError: some images are transparent, and others can't be; or 16 bits are wanted of color
        or of transparent images.
    """
    if policy.bits == 16:
        if summary.in_color is not None:
            raise UserError(
                f"--bits=16 needs grayscale images; --channels=gray makes images gray."
                f" Received: {summary.in_color}, in color"
            )
        transparent = scan.find(summary.with_alpha, num_workers, stop_at_first=False)
        if transparent:
            raise UserError(
                f"--input={scan.files.root}: {len(transparent)} of {summary.count} images are"
                f" transparent, such as {scan.files.display_name(min(transparent))}, and --bits=16"
                " has no alpha: --channels=gray puts those images on --background, --bits=8 keeps"
                " the transparency"
            )
        return 1
    channels = 1 if summary.in_color is None else 3
    if not len(summary.with_alpha):
        return channels
    without_alpha = summary.count - len(summary.with_alpha)
    transparent = scan.find(summary.with_alpha, num_workers, stop_at_first=not without_alpha)
    if not transparent:
        return channels
    if without_alpha:
        kept, opaque = channels_name(channels + 1), channels_name(channels)
        raise UserError(
            f"--input={scan.files.root}: {len(transparent)} of {summary.count} images are"
            f" transparent, such as {scan.files.display_name(min(transparent))}, and"
            f" {without_alpha} have no alpha channel: --channels={kept} keeps the transparency,"
            f" --channels={opaque} puts those images on --background"
        )
    return channels + 1


@dataclasses.dataclass(frozen=True)
class _TransparencyScan:
    """Decodes files to find the transparent ones. Sent to each worker.

    Attributes:
      files: the files.
      policy: says how large images may be.
      skip_bad_images: accept bad images.
    """

    files: ImageFiles
    policy: ImagePolicy
    skip_bad_images: bool

    def find(self, indices: np.ndarray, num_workers: int, *, stop_at_first: bool) -> list[int]:
        """Return the numbers of transparent files among some; any of them if one is enough."""
        tasks = _cut(indices, _DECODED_CHUNK)
        workers = min(num_workers, len(tasks) // _CHUNKS_PER_WORKER)
        memory = WORKER_BYTES + self.policy.decoding_memory
        found: list[int] = []
        with (
            Progress(len(indices), "images", "transparency") as progress,
            closing(run_unordered(self, tasks, workers, memory)) as results,
        ):
            for number, transparent in results:
                progress.update(number)
                found += transparent
                if found and stop_at_first:
                    break
        return found

    def __call__(self, indices: np.ndarray) -> tuple[int, list[int]]:
        """Return how many files there are, and which are transparent."""
        return len(indices), list(self._transparent(indices))

    def _transparent(self, indices: np.ndarray) -> Iterator[int]:
        max_pixels = self.policy.max_pixels
        for index in indices.tolist():
            name = self.files.display_name(index)
            try:
                file = self.files.open(index, max_file_bytes(max_pixels))
                if is_transparent(file, max_pixels, name):
                    yield index
            except BadImageError:
                if not self.skip_bad_images:
                    raise


def _cut(indices: np.ndarray, size: int) -> Sequence[np.ndarray]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _largest_power_of_two(summary: _HeaderSummary) -> int:
    if summary.side < 4:
        raise UserError(
            f"{summary.smallest}: is {_text(summary.size)} pixels, too small for the smallest"
            " resolution, 4; remove it, or give --resolution and --allow_upscale"
        )
    return 1 << (summary.side.bit_length() - 1)
