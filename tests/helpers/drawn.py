"""Pyramids of drawn pictures of any shape, channels and bits, by `pgan-prepare-tfrecords`."""

from pathlib import Path

from tfrecords_tools.cli import prepare
from tfrecords_tools.format import Pyramid, open_pyramid


def write_drawn(directory: Path, *, size="24x16", channels="rgba", bits=8, count=40) -> Pyramid:
    """Write drawn shapes and open them.

    Args:
      directory: of the pyramid.
      size: `WIDTHxHEIGHT` of images.
      channels: as `--channels` takes it.
      bits: of a value.
      count: number of images.
    """
    given = ["--source=synthetic", f"--resolution={size}", f"--channels={channels}"]
    given += [f"--bits={bits}", f"--num_images={count}"]
    assert prepare.main([*given, "--num_workers=1", f"--output={directory}"]) == 0
    return open_pyramid(directory)
