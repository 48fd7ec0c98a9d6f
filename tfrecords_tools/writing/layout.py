"""Which file of a pyramid each image goes to, and how large the files become."""

import dataclasses

from tfrecords_tools.format.names import level_file_names
from tfrecords_tools.format.png_file import png_record_bound
from tfrecords_tools.format.record import record_layout
from tfrecords_tools.writing.levels import resolutions


@dataclasses.dataclass(frozen=True)
class Layout:
    """A pyramid's files before they are written.

    Attributes:
      name: what the files' names begin with.
      count: number of images, bad ones that will be skipped included.
      channels: 1 or 3.
      resolution: side in pixels at the full resolution.
      encoding: "raw" or "png".
      shards: files of each level, 1..count.
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
        """Numbers of a shard's first image and of the one after its last: equal parts, in order."""
        return (
            shard * self.count // self.shards,
            (shard + 1) * self.count // self.shards,
        )

    def file_names(self, side: int) -> list[str]:
        """File names of a level, one a shard."""
        return level_file_names(self.name, side, self.encoding, self.shards)

    def record_bytes(self, side: int) -> int:
        """The size of a record, with its entry in an index; for PNG the most that it can be."""
        if self.encoding == "png":
            return png_record_bound(self.channels, side)
        return record_layout(self.channels, side).record_bytes

    @property
    def image_bytes(self) -> int:
        """What an image takes in all levels; for PNG at most."""
        return sum(self.record_bytes(side) for side in self.sides)
