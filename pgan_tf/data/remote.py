"""A pyramid behind a URL: its files are read by `tf.io.gfile`, such as those at `gs://`.

The files and their names are those on disk (docs/reference/pyramid-format.md), and so is their
reader, `tfrecords_tools.format`. This is the source of its bytes.
"""

import concurrent.futures
import contextlib
import functools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid
from tfrecords_tools.format.byte_source import joined
from tfrecords_tools.format.manifest import MANIFEST_NAME, parse_manifest
from tfrecords_tools.format.pyramid import open_pyramid_in

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Requests under way at the same time.
_REQUESTS = 16
# Opening a pyramid looks several times at the beginning of a file, which one request reads.
_HEAD_BYTES = 1 << 12


def is_remote(data_dir: str) -> bool:
    """Return True for a URL, such as `gs://bucket/faces`."""
    return _SCHEME.match(data_dir) is not None


def open_remote_pyramid(url: str) -> Pyramid:
    """Open a pyramid behind a URL: read its labels, and the sizes and beginnings of its files.

    Raises:
      UserError: in one line, what is missing, contradictory or can't be read.
    """
    return open_pyramid_in(RemoteDirectory(url.rstrip("/")))


def read_remote_manifest(url: str) -> dict[str, Any]:
    """Read the manifest of a pyramid behind a URL, by two requests.

    Raises:
      UserError: there is none, or it is damaged.
    """
    source = RemoteDirectory(url.rstrip("/")).open(MANIFEST_NAME)
    return parse_manifest(source.location, source.read(0, source.size).tobytes())


class RemoteDirectory:
    """A directory behind a URL; a `tfrecords_tools.format` `Directory`."""

    def __init__(self, url: str):
        self.location = url

    def list(self) -> set[str]:
        """List the names in the directory."""
        url = self.location
        with explained(url):
            # Asked first, because it alone reports a scheme that is unknown.
            if not tf.io.gfile.exists(url):
                raise UserError(f"{url}: no such directory; expected a pyramid")
            if not tf.io.gfile.isdir(url):
                raise UserError(f"{url}: not a directory; expected a pyramid")
            return {name.rstrip("/") for name in tf.io.gfile.listdir(url)}

    def open(self, name: str) -> "RemoteFile":
        """Look up a file's size."""
        return RemoteFile(f"{self.location}/{name}")


class RemoteFile:
    """The bytes of a file behind a URL; a `tfrecords_tools.format` `ByteSource`.

    Every method raises a UserError if the file can't be read.

    Attributes:
      location: the URL.
      size: in bytes.
      is_remote: True.
    """

    is_remote = True

    def __init__(self, url: str):
        self.location = url
        with explained(url):
            self.size = tf.io.gfile.stat(url).length

    def read(self, start: int, end: int) -> np.ndarray:
        """Read bytes by one request, or from the file's beginning that was read before."""
        end = min(end, self.size)
        data = self._head[start:end] if end <= _HEAD_BYTES else self._request(start, end)
        return np.frombuffer(data, np.uint8)

    def require_whole(self) -> None:
        """Do nothing: what was read is in memory."""

    def read_spans(self, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read many parts of the file, each by a request of its own."""
        with concurrent.futures.ThreadPoolExecutor(_REQUESTS, "requests") as pool:
            parts = list(pool.map(self._request, spans[:, 0].tolist(), spans[:, 1].tolist()))
        return joined(parts)

    @functools.cached_property
    def _head(self) -> bytes:
        return self._request(0, min(self.size, _HEAD_BYTES))

    def _request(self, start: int, end: int) -> bytes:
        if not 0 <= start <= end <= self.size:  # TensorFlow would take memory for any length
            raise UserError(
                f"{self.location}: damaged: bytes {start} to {end} of a file of {self.size}"
            )
        with explained(self.location), tf.io.gfile.GFile(self.location, "rb") as file:
            file.seek(start)
            data = file.read(end - start)
        if len(data) != end - start:
            raise UserError(f"{self.location}: truncated: it ends before byte {end}")
        return data


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn TensorFlow's errors about a file into one line.

    Raises:
      UserError: in place of TensorFlow's errors.
    """
    try:
        yield
    except tf.errors.UnimplementedError as error:
        match = _SCHEME.match(url)
        known = sorted(f"{s}://" for s in tf.io.gfile.get_registered_schemes() if s)
        raise UserError(
            f"{url}: this TensorFlow has no file system for {match[0] if match else 'it'}; it has"
            f" {', '.join(known)}"
        ) from error
    except tf.errors.NotFoundError as error:
        raise UserError(f"{url}: no such file") from error
    except tf.errors.OpError as error:
        reason = re.sub(r"\{\{.*?\}\} *|\[Op:.*", "", error.message).strip().splitlines()
        text = f"{type(error).__name__}: {reason[0] if reason else 'no reason given'}"
        raise UserError(f"{url}: can't be read: {text}") from error
