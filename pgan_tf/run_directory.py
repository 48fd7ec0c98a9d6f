"""A run directory: where what one run writes is, and whether a run may continue in it."""

import errno
import os
from pathlib import Path

from pgan_tf import flags
from pgan_tf.config import TrainConfig
from tfrecords_tools.errors import UserError

CONFIG_NAME = "config.flags"


class RunDirectory:
    """Paths within a run directory.

    Attributes:
      path: the directory itself.
      checkpoints, networks: sub-directories.
      metrics: `metrics.jsonl`.
      reals: `reals.png`.
    """

    def __init__(self, path: str | os.PathLike, *, fractions: bool = False):
        """
        Args:
          path: of the directory, which need not exist.
          fractions: whether files are written more than once a kimg, so that their names need
            decimals (`TrainConfig.writes_within_a_kimg`).
        """
        self._fractions = fractions
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.networks = self.path / "networks"
        self.metrics = self.path / "metrics.jsonl"
        self.reals = self.path / "reals.png"

    def fakes(self, images_seen: int) -> Path:
        """A grid of fakes, named by kimg."""
        return self.path / f"fakes-{kimg_name(images_seen, fractions=self._fractions)}.png"

    def generator(self, images_seen: int) -> Path:
        """A saved EMA generator, named by kimg."""
        name = kimg_name(images_seen, fractions=self._fractions)
        return self.networks / f"generator-{name}.keras"

    def open(self, config: TrainConfig) -> None:
        """Makes the directory, or makes sure that it holds a run of the same configuration.

        Raises:
          UserError: it holds a run with other flags, holds something else, or can't be written.
        """
        saved = read_config(self.path)
        if saved is not None:
            changed = flags.differences(saved, config)
            if changed:
                raise UserError(
                    f"{self.path / CONFIG_NAME}: this run was made with other flags: "
                    f"{', '.join(changed)}. Leave them out to continue it, or name a new --run_dir"
                )
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise UserError(
                f"{self.path}: neither empty nor a run of pgan-train (it has no {CONFIG_NAME}); "
                "name a new --run_dir"
            )
        try:
            self.networks.mkdir(parents=True, exist_ok=True)
            self._write_config(config)
        except OSError as error:
            raise UserError(f"--run_dir={self.path} can't be written: {error.strerror}") from error

    def _write_config(self, config: TrainConfig) -> None:
        temporary = self.path / f".{CONFIG_NAME}.partial"
        temporary.write_text(flags.to_flagfile(config))
        temporary.replace(self.path / CONFIG_NAME)


def read_config(path: str | os.PathLike) -> TrainConfig | None:
    """The configuration of the run at `path`; None where there is no run.

    Raises:
      UserError: its `config.flags` can't be read.
    """
    file = Path(path) / CONFIG_NAME
    try:
        text = file.read_text()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    return flags.parse_flagfile(text, str(file))


def kimg_name(images_seen: int, *, fractions: bool) -> str:
    """Thousands of images in six digits: `000123`; with `fractions`, also `000123.456`."""
    thousands, rest = divmod(images_seen, 1000)
    return f"{thousands:06d}.{rest:03d}" if rest and fractions else f"{thousands:06d}"
