"""Helpers for tests that write pyramids."""

import os

from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.sources.base import EightBitSquares


class FlawedSource(EightBitSquares):
    """A source with some bad images."""

    def __init__(self, source, bad):
        self.source, self.bad = source, frozenset(bad)

    def __getattr__(self, name):
        return getattr(self.source, name)

    def load(self, index):
        if index in self.bad:
            raise BadImageError(f"{index}.png", "is damaged")
        return self.source.load(index)


def contents(directory):
    """The bytes of every file in a directory, by name."""
    return {name: (directory / name).read_bytes() for name in sorted(os.listdir(directory))}
