"""The files of a pyramid before they are written: names, sizes, and the images in each."""

import dataclasses
from pathlib import Path

from tfrecords_tools.format.example import ImageType, image_type
from tfrecords_tools.format.names import level_file_names
from tfrecords_tools.format.png_file import png_record_bound
from tfrecords_tools.format.record import record_layout
from tfrecords_tools.shape import SQUARE, Base
from tfrecords_tools.writing.levels import resolutions


@dataclasses.dataclass(frozen=True)
class Layout:
    """The files of a pyramid before they are written.

    Attributes:
      name: the pyramid's name, with which the files' names begin.
      count: number of images, counting bad ones that will be skipped.
      channels: 1 to 4.
      resolution: the full resolution.
      encoding: "raw" or "png".
      shards: number of files of each level, 1..count.
      base: height and width at resolution 4.
      bits: of a value, 8 or 16.
    """

    name: str
    count: int
    channels: int
    resolution: int
    encoding: str = "raw"
    shards: int = 1
    # Not among the words by which an interrupted run is known: those of earlier versions lack them.
    base: Base = dataclasses.field(default=SQUARE, repr=False)
    bits: int = dataclasses.field(default=8, repr=False)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The levels' resolutions, largest first."""
        return resolutions(self.resolution)

    def image(self, resolution: int) -> ImageType:
        """Return the type of a level's images."""
        return image_type(self.channels, self.base, resolution, self.bits)

    def bounds(self, shard: int) -> tuple[int, int]:
        """Return the numbers of a shard's first image and of the one after its last.

        Shards hold equal numbers of images, in order.
        """
        return (
            shard * self.count // self.shards,
            (shard + 1) * self.count // self.shards,
        )

    def file_names(self, resolution: int) -> list[str]:
        """Return the file names of a level, one for each shard."""
        return level_file_names(self.name, resolution, self.encoding, self.shards)

    def shard_paths(self, directory: Path, shard: int) -> dict[int, Path]:
        """Return a shard's file of each level, by resolution, largest first."""
        return {
            resolution: directory / self.file_names(resolution)[shard]
            for resolution in self.resolutions
        }

    def record_bytes(self, resolution: int) -> int:
        """Return the size of a record and its entry in an index; for PNG an upper bound."""
        if self.encoding == "png":
            return png_record_bound(self.image(resolution))
        return record_layout(self.image(resolution)).record_bytes

    @property
    def image_bytes(self) -> int:
        """Bytes of one image's records at all levels; for PNG an upper bound."""
        return sum(map(self.record_bytes, self.resolutions))
