"""PNGs of a pyramid's level, by `pgan-inspect-tfrecords extract`."""

from pathlib import Path

from tfrecords_tools.cli import inspect


def extract(pyramid: Path, output: Path, *, resolution=None, labels="none") -> Path:
    """Write every image of a level to a folder, and return it; `labels` as the command takes it."""
    given = ["extract", str(pyramid), f"--output={output}", f"--labels={labels}"]
    given += [] if resolution is None else [f"--resolution={resolution}"]
    assert inspect.main([*given, "--num_workers=1"]) == 0
    return output
