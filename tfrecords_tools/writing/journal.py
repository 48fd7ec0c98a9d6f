"""What of an unfinished pyramid is done, kept beside it so that `--resume` can go on from there."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfrecords_tools.files import remove_partial_files, whole_file
from tfrecords_tools.format.manifest import FORMAT_VERSION
from tfrecords_tools.sources.base import Source
from tfrecords_tools.writing.conversion import Written
from tfrecords_tools.writing.layout import Layout

# Lies in a directory that can be continued, and is removed when that is finished.
JOURNAL_NAME = "progress.jsonl"
_FINISHING = "finishing"


class Journal:
    """A file of one line for what is being made, then one for each finished part.

    A context manager. The lines reach the operating system at once, so they survive `kill -9`; that
    the parts are really there is for the reader to check.
    """

    def __init__(self, directory: Path, identity: str):
        """Opens the journal of a directory, or begins one.

        Args:
          directory: where the pyramid is being made.
          identity: says what is being made, see `identity_of`.
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

    def done(self) -> list[Written]:
        """The parts that were written, in the images' order."""
        parts: list[Written] = []
        for line in _lines(self._path)[1:]:
            if line == _FINISHING:
                # Records may have been moved since, so none is known to be at its place.
                return [] if any(part.skipped for part in parts) else parts
            shard, start, count, skipped = line
            parts.append(Written(shard, start, count, tuple(tuple(bad) for bad in skipped)))
        return sorted(parts, key=lambda part: part.start)

    def begin_again(self, parts: Sequence[Written]) -> None:
        """Forgets all parts but these."""
        self._file.close()
        remove_partial_files(self._path.parent)
        with whole_file(self._path) as rewritten:
            self._file = rewritten.open("wb")
            self._write({"identity": self._identity})
            for part in parts:
                self.add(part)

    def add(self, part: Written) -> None:
        """Notes a part that has been written."""
        self._write([part.shard, part.start, part.count, part.skipped])

    def finishing(self) -> None:
        """Notes that all parts are written, and that records are now moved."""
        self._write(_FINISHING)

    def _write(self, line: Any) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()


def identity_of(
    source: Source, layout: Layout, order: np.ndarray, skip_bad_images: bool, runner: str
) -> str:
    """A digest of all that decides the bytes of a pyramid, as far as can be told beforehand.

    The runner decides none, but leaves unfinished work in another form.
    """
    labels = source.labels()
    facts = {
        "format_version": FORMAT_VERSION,
        "runner": runner,
        "layout": str(layout),
        "order": _digest(np.ascontiguousarray(order).data),
        "skip_bad_images": skip_bad_images,
        "source": source.describe(),
        "files": _digest(repr(getattr(source, "files", None)).encode()),
        "labels": None if labels is None else _digest(np.ascontiguousarray(labels).data),
    }
    return _digest(json.dumps(facts, sort_keys=True).encode())


def has_identity(directory: Path, identity: str) -> bool:
    """Whether what was begun in a directory is the pyramid of this identity."""
    lines = _lines(directory / JOURNAL_NAME)
    return bool(lines) and lines[0] == {"identity": identity}


def _lines(path: Path) -> list[Any]:
    """The whole lines of a journal; the last may have been cut short."""
    lines = []
    try:
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                lines.append(json.loads(line))
    except (FileNotFoundError, ValueError):
        pass
    return lines


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
