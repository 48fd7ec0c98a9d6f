"""The record of an unfinished pyramid's written chunks, from which `--resume` continues."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import JOURNAL_NAME, remove_leftovers, whole_file
from tfrecords_tools.format.manifest import FORMAT_VERSION
from tfrecords_tools.sources.base import Source
from tfrecords_tools.untrusted.json_file import parse_json
from tfrecords_tools.untrusted.regular_file import read_bytes
from tfrecords_tools.writing.conversion import SkippedImage, WrittenChunk
from tfrecords_tools.writing.layout import Layout

# A line has about a hundred bytes, for thousands of images.
_MAX_BYTES = 1 << 28
_FINISHING = "finishing"


class Journal:
    """A file of one line that identifies the pyramid, then one for each written chunk.

    A context manager. Each line is handed to the operating system at once, so that it survives
    `kill -9`. The chunk that it names may still be damaged: outputs verify it.
    """

    def __init__(self, directory: Path, identity: str):
        """Open the journal of a directory, or begin one.

        Args:
          directory: the directory being written.
          identity: the pyramid's identity (`identity_of`).
        """
        self._path = directory / JOURNAL_NAME
        self._identity = identity
        self._file = self._path.open("ab")
        if not self._path.stat().st_size:
            self._write({"identity": identity})

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def done(self) -> list[WrittenChunk]:
        """Return the chunks that were written, in the images' order."""
        chunks: list[WrittenChunk] = []
        for line in _read_lines(self._path)[1:]:
            if line == _FINISHING:
                # Records may have been moved since, so none is known to be in its place.
                return [] if any(chunk.skipped for chunk in chunks) else chunks
            shard, start, count, skipped = line
            skipped = tuple(SkippedImage(*image) for image in skipped)
            chunks.append(WrittenChunk(shard, start, count, skipped))
        return sorted(chunks, key=lambda chunk: chunk.start)

    def begin_again(self, chunks: Sequence[WrittenChunk]) -> None:
        """Forget all chunks but these."""
        self._file.close()
        remove_leftovers(self._path.parent)
        with whole_file(self._path) as rewritten:
            self._file = rewritten.open("wb")
            self._write({"identity": self._identity})
            for chunk in chunks:
                self.add(chunk)

    def add(self, chunk: WrittenChunk) -> None:
        """Record that a chunk is written."""
        self._write([chunk.shard, chunk.start, chunk.count, chunk.skipped])

    def add_finishing(self) -> None:
        """Record that all chunks are written, and that records may move from now on."""
        self._write(_FINISHING)

    def _write(self, line: Any) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()


def identity_of(
    source: Source, layout: Layout, order: np.ndarray, skip_bad_images: bool, runner: str
) -> str:
    """Return a digest of everything known beforehand that decides the bytes of a pyramid.

    The runner decides none of them, but leaves unfinished work in another form.
    """
    labels = source.labels()
    # A run that an earlier version began is continued only if the digest is the same. So the names
    # of Layout, of its fields, of the classes of `source.files` and their fields are here to stay.
    facts = {
        "format_version": FORMAT_VERSION,
        "runner": runner,
        "layout": str(layout),
        **({} if layout.base.is_square else {"base": list(layout.base)}),
        **({} if layout.bits == 8 else {"bits": layout.bits}),
        "order": _digest(np.ascontiguousarray(order).data),
        "skip_bad_images": skip_bad_images,
        "source": source.describe(),
        "files": _digest(repr(getattr(source, "files", None)).encode()),
        "labels": None if labels is None else _digest(np.ascontiguousarray(labels).data),
    }
    return _digest(json.dumps(facts, sort_keys=True).encode())


def has_identity(directory: Path, identity: str) -> bool:
    """Return True if a directory is the beginning of the pyramid with this identity."""
    lines = _read_lines(directory / JOURNAL_NAME)
    return bool(lines) and lines[0] == {"identity": identity}


def _read_lines(path: Path) -> list[Any]:
    """Return the whole lines of a journal; a last line that was cut short is left out."""
    lines = []
    try:
        for line in read_bytes(path, _MAX_BYTES).splitlines(keepends=True):
            if line.endswith(b"\n"):
                lines.append(parse_json(line, str(path)))
    except (FileNotFoundError, UserError):
        pass
    return lines


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
