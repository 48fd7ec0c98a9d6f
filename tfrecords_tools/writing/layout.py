"""The files of a pyramid before they are written: names, sizes, and the images in each."""

import dataclasses
from pathlib import Path

from tfrecords_tools.format.names import level_file_names
from tfrecords_tools.format.png_file import png_record_bound
from tfrecords_tools.format.record import record_layout
from tfrecords_tools.writing.levels import resolutions


@dataclasses.dataclass(frozen=True)
class Layout:
    """The files of a pyramid before they are written.

    Attributes:
      name: the pyramid's name, with which the files' names begin.
      count: number of images, counting bad ones that will be skipped.
      channels: 1 or 3.
      resolution: side in pixels at the full resolution.
      encoding: "raw" or "png".
      shards: number of files of each level, 1..count.
    """

    name: str
    count: int
    channels: int
    resolution: int
    encoding: str = "raw"
    shards: int = 1

    @property
    def sides(self) -> tuple[int, ...]:
        """The levels' resolutions, largest first."""
        return resolutions(self.resolution)

    def bounds(self, shard: int) -> tuple[int, int]:
        """Return the numbers of a shard's first image and of the one after its last.

        Shards hold equal numbers of images, in order.
        """
        return (
            shard * self.count // self.shards,
            (shard + 1) * self.count // self.shards,
        )

    def file_names(self, side: int) -> list[str]:
        """Return the file names of a level, one for each shard."""
        return level_file_names(self.name, side, self.encoding, self.shards)

    def shard_paths(self, directory: Path, shard: int) -> dict[int, Path]:
        """Return a shard's file of each level, by resolution, largest first."""
        return {side: directory / self.file_names(side)[shard] for side in self.sides}

    def record_bytes(self, side: int) -> int:
        """Return the size of a record and its entry in an index; for PNG an upper bound."""
        if self.encoding == "png":
            return png_record_bound(self.channels, side)
        return record_layout(self.channels, side).record_bytes

    @property
    def image_bytes(self) -> int:
        """Bytes of one image's records at all levels; for PNG an upper bound."""
        return sum(self.record_bytes(side) for side in self.sides)
