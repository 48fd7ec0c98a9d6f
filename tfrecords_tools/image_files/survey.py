"""Every image file of a folder or archive decoded once, before any work with them.

A file's size, color and transparency, the digest of its bytes, or why it can't be used.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.host import core_count
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.decoding import max_file_bytes
from tfrecords_tools.image_files.files import ImageFiles, NamedImageFiles
from tfrecords_tools.image_files.headers import read_header
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.image_files.reasons import common_reasons
from tfrecords_tools.parallel import WORKER_BYTES, run_unordered
from tfrecords_tools.progress import Progress
from tfrecords_tools.shape import Base
from tfrecords_tools.untrusted.regular_file import open_regular

_CHUNK = 50
_BLOCK = 1 << 20  # bytes
# Starting a process takes longer than a few chunks.
_CHUNKS_PER_WORKER = 10


class _Facts(NamedTuple):
    """An image file that can be used."""

    number: int
    height: int
    width: int
    gray: bool
    transparent: bool
    digest: bytes


class _Bad(NamedTuple):
    """An image file that can't be used."""

    number: int
    reason: str


@dataclasses.dataclass(frozen=True)
class Survey:
    """The usable image files of a folder or archive, in the order of their names.

    Attributes:
      files: all files.
      indices: `[n]` int64, numbers of the usable ones among all.
      sizes: `[n 2]` int64, height and width of their upright images.
      gray: `[n]` bool, whether they are grayscale.
      transparent: `[n]` bool, whether any of their pixels is not opaque.
      digests: `[n]` SHA-256 of their bytes.
      skipped: number of files that can't be used.
      first_skipped: name of the first of the bad ones, and why it can't be used; or empty.
    """

    files: NamedImageFiles
    indices: np.ndarray
    sizes: np.ndarray
    gray: np.ndarray
    transparent: np.ndarray
    digests: tuple[bytes, ...]
    skipped: int
    first_skipped: str = ""

    @property
    def count(self) -> int:
        """Number of usable files."""
        return len(self.indices)

    @property
    def common_size(self) -> tuple[int, int] | None:
        """The height and width of every image; None if they differ."""
        if (self.sizes == self.sizes[0]).all():
            return int(self.sizes[0, 0]), int(self.sizes[0, 1])
        return None

    @property
    def channels(self) -> int:
        """Number of channels that hold every image, 1 to 4: with alpha if one is transparent."""
        return (1 if self.gray.all() else 3) + bool(self.transparent.any())

    @property
    def digest(self) -> str:
        """SHA-256 of the names and contents of the usable files."""
        whole = hashlib.sha256()
        for index, digest in zip(self.indices.tolist(), self.digests, strict=True):
            name = self.files.names[index].encode("utf-8", "surrogateescape")
            whole.update(b"%d:%b%b" % (len(name), name, digest))
        return whole.hexdigest()

    def name(self, number: int) -> str:
        """Return the words by which the user can find a usable file, by its place among them."""
        return self.files.display_name(int(self.indices[number]))

    def without(self, unfit: np.ndarray) -> "Survey":
        """Return the survey without some of the usable files, `[n]` bool."""
        kept = ~unfit
        return Survey(
            self.files,
            self.indices[kept],
            self.sizes[kept],
            self.gray[kept],
            self.transparent[kept],
            tuple(d for d, keep in zip(self.digests, kept.tolist(), strict=True) if keep),
            self.skipped + int(unfit.sum()),
            self.first_skipped,
        )


def survey_files(files: NamedImageFiles, *, skip_bad_images: bool, label: str = "images") -> Survey:
    """Decode every file once.

    Args:
      files: at least one.
      skip_bad_images: leave out files that can't be used.
      label: text of the progress bar.

    Raises:
      UserError: there are bad ones, and they are not to be skipped, or no others; it names the
        first and their number.
    """
    order = files.reading_order()
    tasks = [order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK)]
    workers = min(core_count(), len(tasks) // _CHUNKS_PER_WORKER)
    memory = WORKER_BYTES + _POLICY.decoding_memory
    found: list[_Facts] = []
    bad: list[_Bad] = []
    with (
        Progress(len(order), "images", label, keep=False) as progress,
        contextlib.closing(run_unordered(_Reader(files), tasks, workers, memory)) as results,
    ):
        for usable, unusable in results:
            found += usable
            bad += unusable
            progress.update(len(usable) + len(unusable))
    if bad and (not skip_bad_images or not found):
        raise _bad_images(files, bad, can_skip=bool(found))
    found.sort()
    return Survey(
        files,
        np.array([facts.number for facts in found], np.int64),
        np.array([(facts.height, facts.width) for facts in found], np.int64),
        np.array([facts.gray for facts in found], bool),
        np.array([facts.transparent for facts in found], bool),
        tuple(facts.digest for facts in found),
        len(bad),
        _named(files, min(bad)) if bad else "",
    )


# Files are decoded under the limits of the usual policy.
_POLICY = ImagePolicy(channels=4, resolution=4, crop="none")


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Decodes some files. Sent to each worker."""

    files: ImageFiles

    def __call__(self, indices: np.ndarray) -> tuple[list[_Facts], list[_Bad]]:
        usable, bad = [], []
        for index in indices.tolist():
            try:
                usable.append(self._read(index))
            except BadImageError as error:
                # This limit has no flag where files are only read to be compared.
                reason = error.reason.replace("--max_pixels=", "")
                bad.append(_Bad(index, reason.replace("within --max_pixels ", "")))
        return usable, bad

    def _read(self, index: int) -> _Facts:
        name, most = self.files.display_name(index), _POLICY.max_pixels
        file = self.files.open(index, max_file_bytes(most))
        header = read_header(file, most, name)
        if not isinstance(file, Path):
            file.seek(0)
        policy = dataclasses.replace(
            _POLICY,
            channels=(1 if header.gray else 3) + header.has_alpha,
            base=Base(header.height, header.width),
        )
        pixels = read_pixels(file, policy, name)
        transparent = header.has_alpha and bool((pixels[-1] < 255).any())
        if isinstance(file, Path):
            with open_regular(file) as opened:
                digest = _digest(opened)
        else:
            file.seek(0)
            digest = _digest(file)
        height, width = pixels.shape[1:]
        return _Facts(index, height, width, header.gray, transparent, digest)


def _digest(file: BinaryIO) -> bytes:
    found = hashlib.sha256()
    while block := file.read(_BLOCK):
        found.update(block)
    return found.digest()


def _named(files: ImageFiles, bad: _Bad) -> str:
    return f"{files.display_name(bad.number)}: {bad.reason}"


def _bad_images(files: ImageFiles, bad: Sequence[_Bad], *, can_skip: bool) -> UserError:
    """Return the error about bad images, which names the first of them."""
    if not can_skip:
        return UserError(
            f"{files.root}: none of its {len(bad)} image files can be used: "
            f"{common_reasons(each.reason for each in bad)}"
        )
    others = f" ({len(bad)} such files in {files.root})" if len(bad) > 1 else ""
    return UserError(
        f"{_named(files, min(bad))}{others}; --skip_bad_images leaves "
        f"{'them' if len(bad) > 1 else 'it'} out"
    )
