"""Images that spell their own numbers, to count which were read."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfrecords_tools.format import encode_records, open_pyramid
from tfrecords_tools.sources.base import EightBitSquares


def numbered(numbers, resolution):
    """RGB images `[k 3 h w]`, each of one colour, which is its number: the same at every level."""
    colours = np.asarray(numbers, "<u4").view(np.uint8).reshape(-1, 4)[:, :3]
    return np.broadcast_to(colours[:, :, None, None], (len(colours), 3, resolution, resolution))


def numbers_of(images):
    """The numbers that `images` `[k 3 h w]` spell."""
    assert (images == images[:, :, :1, :1]).all()
    return images[:, :, 0, 0].astype(np.int64) @ [1, 1 << 8, 1 << 16]


def write_numbered(directory, *, count, resolution, shards=1):
    """A raw pyramid of `numbered` images."""
    directory.mkdir()
    while resolution >= 4:
        path = directory / f"{directory.name}-r{resolution.bit_length() - 1:02d}.tfrecords"
        records = np.array_split(encode_records(numbered(np.arange(count), resolution)), shards)
        for shard, part in enumerate(records):
            suffix = f"-{shard:05d}-of-{shards:05d}" if shards > 1 else ""
            part.tofile(path.with_name(path.name + suffix))
        resolution //= 2
    return open_pyramid(directory)


@dataclasses.dataclass(frozen=True)
class NumberedSource(EightBitSquares):
    """The same as a source of the tool that prepares pyramids, with label i % 3."""

    count: int
    resolution: int
    channels: int = 3
    shuffled: bool = False
    label_names: tuple[str, ...] = ("a", "b", "c")

    def labels(self):
        return np.eye(3, dtype=np.float32)[np.arange(self.count) % 3]

    def load(self, index):
        return numbered([index], self.resolution)[0]

    def describe(self):
        return {"kind": "numbered"}


def upload(directory, url):
    """Copies a directory's files to where `tf.io.gfile` reaches them; returns `url`."""
    tf.io.gfile.makedirs(url)
    for path in directory.iterdir():
        with tf.io.gfile.GFile(f"{url}/{path.name}", "wb") as file:
            file.write(path.read_bytes())
    return url
