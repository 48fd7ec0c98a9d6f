"""A pyramid behind a URL: what `tf.io.gfile` can read, and no file system can map.

The same files by the same names as on disk (docs/reference/pyramid-format.md).
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import MANIFEST_NAME, labels_name, record_layout
from tfrecords_tools.format.example import parse_example
from tfrecords_tools.format.manifest import parse_manifest
from tfrecords_tools.format.names import INDEX_SUFFIX, arrange_levels
from tfrecords_tools.format.png_file import INDEX_DTYPE, decode_png, frame
from tfrecords_tools.format.pyramid import check_labels
from tfrecords_tools.format.record import FRAME_HEAD_BYTES

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Requests under way at the same time, where records are asked for by number.
_REQUESTS = 16
_INDEX_ENTRY_BYTES = np.dtype(INDEX_DTYPE).itemsize


def is_remote(data_dir: str) -> bool:
    """Whether a path is a URL, such as `gs://bucket/faces`."""
    return _SCHEME.match(data_dir) is not None


@dataclasses.dataclass(frozen=True, eq=False)
class RemoteFile:
    """A level's file, or a part of it.

    Attributes:
      url: where it is.
      size: in bytes.
      first: the number of its first image in the level.
      count: number of images.
      record_bytes: size of each record, or None where they differ and an index has their offsets.
    """

    url: str
    size: int
    first: int
    count: int
    record_bytes: int | None

    def offsets(self, first: int, last: int) -> np.ndarray:
        """Where records begin, in bytes: `[last - first + 1]`, for `first` to `last` of this file.

        `last` may be `count`, for the file's end.
        """
        if self.record_bytes is not None:
            return np.arange(first, last + 1, dtype=np.int64) * self.record_bytes
        return self._index[first : last + 1].astype(np.int64)

    @functools.cached_property
    def _index(self) -> np.ndarray:
        index = np.frombuffer(read_bytes(self.url + INDEX_SUFFIX), INDEX_DTYPE)
        if len(index) != self.count + 1 or (index[1:] < index[:-1]).any():
            raise UserError(f"{self.url}{INDEX_SUFFIX}: damaged: its offsets must increase")
        return index


@dataclasses.dataclass(frozen=True, eq=False)
class RemoteLevel:
    """One resolution of a remote pyramid.

    Attributes:
      resolution: height and width in pixels.
      channels: 1 or 3.
      encoding: "raw" or "png".
      files: the level's files, in order.
    """

    resolution: int
    channels: int
    encoding: str
    files: tuple[RemoteFile, ...]

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(file.count for file in self.files)

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(file.size for file in self.files)

    def read(self, indices: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """Images `[k C H W]` uint8 by number `[k]`, each by a request of its own: for a few.

        They are put into `out`, where it is given.

        Raises:
          UserError: a record is damaged or can't be read.
        """

        def fetch(index: int) -> bytes:
            file = self.locate(index)
            start, end = file.offsets(index - file.first, index - file.first + 1).tolist()
            return read_bytes(file.url, start, end)

        with concurrent.futures.ThreadPoolExecutor(_REQUESTS, "requests") as pool:
            records = list(pool.map(fetch, np.asarray(indices).tolist()))
        images = self.decode(indices, records)
        if out is None:
            return images
        out[...] = images
        return out

    def locate(self, index: int) -> RemoteFile:
        """The file that holds image `index`."""
        return next(file for file in self.files if index < file.first + file.count)

    def decode(self, indices: np.ndarray, records: Sequence[bytes]) -> np.ndarray:
        """Images `[k C H W]` uint8 from whole records, checksums compared.

        Args:
          indices: `[k]` numbers of the records, for messages.
          records: their bytes.

        Raises:
          UserError: a record is damaged; names the file and the record.
        """
        shape = (self.channels, self.resolution, self.resolution)
        images = np.empty((len(records), *shape), np.uint8)

        def decode(position: int) -> None:
            try:
                images[position] = _decode(records[position], shape, self.encoding)
            except Exception as error:  # whatever the decoder says about damaged data
                index = int(indices[position])
                file = self.locate(index)
                raise UserError(
                    f"{file.url}: record {index - file.first} (of 0..{file.count - 1}) is damaged:"
                    f" {error}"
                ) from error

        for _ in (_decoders().map if self.encoding == "png" else map)(decode, range(len(records))):
            pass
        return images


@dataclasses.dataclass(frozen=True, eq=False)
class RemotePyramid:
    """A pyramid behind a URL, opened by `open_remote_pyramid`. Attributes as of `Pyramid`.

    Attributes:
      directory: the URL.
      labels: in memory.
    """

    directory: str
    name: str
    count: int
    channels: int
    resolution: int
    levels: tuple[RemoteLevel, ...] = dataclasses.field(repr=False)
    labels: np.ndarray | None = dataclasses.field(default=None, repr=False)
    label_names: tuple[str, ...] | None = None

    @property
    def label_size(self) -> int:
        """Number of columns of the labels; 0 where there are none."""
        return 0 if self.labels is None else self.labels.shape[1]

    def level(self, resolution: int) -> RemoteLevel:
        """The level of a resolution, which there must be."""
        return next(level for level in self.levels if level.resolution == resolution)


def open_remote_pyramid(url: str) -> RemotePyramid:
    """Opens a pyramid behind a URL. Its files' sizes are looked at, and its labels read.

    Raises:
      UserError: in one line, what is missing, contradictory or can't be read.
    """
    url = url.rstrip("/")
    with explained(url):
        # Asked first, because it alone says that a scheme is unknown.
        if not tf.io.gfile.exists(url):
            raise UserError(f"{url}: no such directory; expected a pyramid")
        if not tf.io.gfile.isdir(url):
            raise UserError(f"{url}: not a directory; expected a pyramid")
        listed = tf.io.gfile.listdir(url)
    names = {name.rstrip("/") for name in listed}
    name, files = arrange_levels(url, names)
    manifest = None
    if MANIFEST_NAME in names:
        path = f"{url}/{MANIFEST_NAME}"
        manifest = parse_manifest(path, read_bytes(path))
    full_files = files[max(files)]
    encoding = "png" if full_files[0] + INDEX_SUFFIX in names else "raw"
    if manifest is not None:
        encoding = manifest["encoding"]
    levels = tuple(
        _open_level([f"{url}/{file}" for file in files[log2]], 1 << log2, encoding)
        for log2 in sorted(files)
    )
    full = levels[-1]
    _check_counts(url, levels, manifest)
    labels = None
    if labels_name(name) in names:
        labels = _read_labels(f"{url}/{labels_name(name)}", full.count)
    label_names = tuple((manifest or {}).get("label_names") or ()) or None
    return RemotePyramid(
        directory=url,
        name=name,
        count=full.count,
        channels=full.channels,
        resolution=full.resolution,
        levels=levels,
        labels=labels,
        label_names=label_names,
    )


def read_bytes(url: str, start: int = 0, end: int | None = None) -> bytes:
    """A file's bytes from `start` up to `end`, or all.

    Raises:
      UserError: it can't be read, or ends before.
    """
    with explained(url), tf.io.gfile.GFile(url, "rb") as file:
        if end is None:
            return file.read()
        file.seek(start)
        data = file.read(end - start)
    if len(data) != end - start:
        raise UserError(f"{url}: truncated: it ends before byte {end}")
    return data


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns what TensorFlow says about files into one line.

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
        said = f"{type(error).__name__}: {reason[0] if reason else 'no reason given'}"
        raise UserError(f"{url}: can't be read: {said}") from error


def _open_level(urls: Sequence[str], resolution: int, encoding: str) -> RemoteLevel:
    sizes = []
    for url in urls:
        with explained(url):
            sizes.append(tf.io.gfile.stat(url).length)
    filled = next((url for url, size in zip(urls, sizes, strict=True) if size), urls[0])
    channels, record_bytes = _find_layout(filled, resolution, encoding)
    files, first = [], 0
    for url, size in zip(urls, sizes, strict=True):
        count = _count_png(url, size) if record_bytes is None else size // record_bytes
        if record_bytes is not None and size % record_bytes:
            raise UserError(
                f"{url}: truncated or damaged: its size must be a multiple of its record length,"
                f" {record_bytes} bytes. Received: {size} bytes"
            )
        files.append(RemoteFile(url, size, first, count, record_bytes))
        first += count
    return RemoteLevel(resolution, channels, encoding, tuple(files))


def _find_layout(url: str, resolution: int, encoding: str) -> tuple[int, int | None]:
    """Channels, and the size of a record where all have the same, from a file's first record."""
    with explained(url), tf.io.gfile.GFile(url, "rb") as file:
        head = file.read(FRAME_HEAD_BYTES)
        for channels in (1, 3):
            layout = record_layout(channels, resolution)
            if encoding == "raw" and head == layout.head[:FRAME_HEAD_BYTES]:
                return channels, layout.record_bytes
        if encoding == "png" and len(head) == FRAME_HEAD_BYTES:
            example = file.read(int.from_bytes(head[:8], "little") + 4)[:-4]
            with contextlib.suppress(ValueError):
                shape = parse_example(example)[0]
                if shape[0] in (1, 3) and shape[1:] == (resolution, resolution):
                    return shape[0], None
    raise UserError(
        f"{url}: {'does not begin with' if head else 'empty; expected'} a record of a"
        f" {resolution}x{resolution} image with 1 or 3 channels"
    )


def _count_png(url: str, size: int) -> int:
    """How many images a file holds, from its index, which must end where the file does."""
    index = url + INDEX_SUFFIX
    with explained(index):
        length = tf.io.gfile.stat(index).length
    if length % _INDEX_ENTRY_BYTES or not length:
        raise UserError(
            f"{index}: truncated or damaged: its size must be a multiple of"
            f" {_INDEX_ENTRY_BYTES} bytes. Received: {length} bytes"
        )
    end = int(np.frombuffer(read_bytes(index, length - _INDEX_ENTRY_BYTES, length), INDEX_DTYPE)[0])
    if end != size:
        raise UserError(
            f"{url}: truncated or damaged, or its index is: its size must be {end} bytes."
            f" Received: {size} bytes"
        )
    return length // _INDEX_ENTRY_BYTES - 1


def _check_counts(url: str, levels: Sequence[RemoteLevel], manifest: dict[str, Any] | None) -> None:
    full = levels[-1]
    for level in levels:
        if (level.count, level.channels) != (full.count, full.channels):
            raise UserError(
                f"{level.files[0].url}: every level must hold the same images: {full.count} of"
                f" {full.channels} channels at {full.resolution}x{full.resolution}."
                f" Received: {level.count} of {level.channels} at {level.resolution}x"
                f"{level.resolution}"
            )
    if not full.count:
        raise UserError(f"{full.files[0].url}: empty; expected images")
    for key in ("count", "resolution", "channels"):
        if manifest is not None and manifest[key] != getattr(full, key):
            raise UserError(
                f"{url}/{MANIFEST_NAME}: disagrees with the files beside it: '{key}' is"
                f" {manifest[key]} in the manifest, {getattr(full, key)} in the files"
            )


def _read_labels(url: str, count: int) -> np.ndarray:
    try:
        loaded = np.load(io.BytesIO(read_bytes(url)), allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # whatever Python's parser says about a damaged header
        raise UserError(f"{url}: not an array saved by numpy.save ({error})") from error
    labels = check_labels(url, loaded)
    if len(labels) != count:
        raise UserError(f"{url}: must hold {count} labels, one an image. Received: {len(labels)}")
    return labels


def _decode(record: bytes, shape: tuple[int, int, int], encoding: str) -> np.ndarray:
    example = record[FRAME_HEAD_BYTES:-4]
    if frame(example) != (record[:FRAME_HEAD_BYTES], record[-4:]):
        raise ValueError("its checksum (CRC-32C) is wrong")
    stored, data = parse_example(example)
    if stored != shape:
        raise ValueError(f"its shape is {list(stored)}")
    if encoding == "png":
        return decode_png(data, shape)
    return np.frombuffer(data, np.uint8).reshape(shape)


@functools.cache
def _decoders() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(thread_name_prefix="png")
