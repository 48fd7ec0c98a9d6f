"""The run directory: the names of its files, its lock, and the checks before a run continues."""

import contextlib
import errno
import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from pgan_tf.config import TrainConfig, flags
from pgan_tf.runs.branching import free_name, way_on
from pgan_tf.runs.data_note import difference, is_for_networks_of, note_lines, noted_base
from pgan_tf.runs.hub import fetch_generator, is_on_hub
from pgan_tf.runs.metrics_log import MetricsLog
from tfrecords_tools.command.flagfile import read_flagfile
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import is_system_file, remove_leftovers, user_path, whole_file
from tfrecords_tools.files.locks import lock
from tfrecords_tools.format import Pyramid
from tfrecords_tools.shape import Base

CONFIG_NAME = "config.flags"
NETWORKS_NAME = "networks"
# File names of grids and of saved generators; see `RunDirectory.fakes` and `generator`.
FAKES_PATTERN = re.compile(r"fakes-(?P<kimg>\d+(\.\d+)?)\.png")
GENERATOR_PATTERN = re.compile(r"generator-(?P<kimg>\d+(\.\d+)?)\.keras")

_SKIPPING = "-skipping"
_STATE = rf"state-(r(?P<rollbacks>\d+)-)?(?P<images_seen>\d+)(?P<skipping>{_SKIPPING})?"
_INDEX = re.compile(rf"{_STATE}\.index")
_DATA = re.compile(rf"{_STATE}\.data-\d{{5}}-of-\d{{5}}")
# The directory in which TensorFlow writes the data of a checkpoint, and a file in it.
_UNFINISHED = re.compile(rf"{_STATE}_temp")
_UNFINISHED_PART = re.compile(r"part-\d{5}-of-\d{5}\.(index|data-\d{5}-of-\d{5})(\.tempstate\d+)?")

# Entries of a run directory that are written to, or replaced, while a run goes on.
_OWN = re.compile(
    r"checkpoints|networks|evaluation|metrics|plugins|wandb|config\.flags|compilation\.json"
    r"|metrics\.jsonl|metrics\.png|metrics-.*\.json|neighbors-.*\.png|reals\.png|fakes-.*\.png"
    r"|diagnosis\.json|events\.out\..*"
)
_OF_PYRAMID = re.compile(r"manifest\.json|.*\.tfrecords.*|.*\.labels")
# Those in which a link would be followed, too.
_FOLLOWED = ("checkpoints", "evaluation", "metrics", "plugins")


class RunDirectory:
    """The paths in a run directory, and its lock.

    Attributes:
      path: the directory itself.
      checkpoints: subdirectory of the checkpoints.
      networks: subdirectory of the saved generators.
      metrics_log: the log `metrics.jsonl`.
      reals: the grid `reals.png`.
      compilation: file of the phases that XLA compiles.
      diagnosis: file of the trouble that the run has.
    """

    def __init__(self, path: str | os.PathLike, *, fractions: bool = False):
        """Touch nothing on the disk yet.

        Args:
          path: the directory, which need not exist.
          fractions: whether files are written more than once per kimg, so that their names need
            decimals (`TrainConfig.writes_within_a_kimg`).
        """
        self._fractions = fractions
        self._opened: int | None = None
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.networks = self.path / NETWORKS_NAME
        self.metrics_log = MetricsLog(self.path / "metrics.jsonl")
        self.reals = self.path / "reals.png"
        self.compilation = self.path / "compilation.json"
        self.diagnosis = self.path / "diagnosis.json"

    def fakes(self, images_seen: int) -> Path:
        """Return the path of a grid of fakes, named by kimg."""
        return self.path / f"fakes-{kimg_name(images_seen, fractions=self._fractions)}.png"

    def generator(self, images_seen: int) -> Path:
        """Return the path of a saved EMA generator, named by kimg."""
        name = kimg_name(images_seen, fractions=self._fractions)
        return self.networks / f"generator-{name}.keras"

    @property
    def best_generator(self) -> Path:
        """Path of the EMA generator that is the best so far by `--best_metric`."""
        return self.networks / "best.keras"

    def open(self, config: TrainConfig, pyramid: Pyramid) -> None:
        """Make the directory, or check that the run in it has the same flags and data.

        The directory is locked until `close`, and what a killed process left behind is removed.

        Args:
          config: with the values filled in that come from the data.
          pyramid: the data.

        Raises:
          UserError: the directory holds a run with other flags or data, is being written to by
            another process, holds anything other than a run, or can't be written.
        """
        self.refuse_links()
        saved = read_config(self.path)
        if saved is not None:
            self._refuse_changes(saved, config, pyramid)
        elif self.path.is_dir() and (
            obstacles := sorted(filter(_is_obstacle, self.path.iterdir()))
        ):
            raise UserError(
                f"{self.path}: no run of pgan-train (it has no {CONFIG_NAME}), and holds "
                f"{obstacles[0].name}; name a new --run_dir"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock()
            with whole_file(self.path / CONFIG_NAME) as temporary:
                note = "\n".join(note_lines(pyramid))
                temporary.write_text(f"{flags.to_flagfile(config)}{note}\n", encoding="utf-8")
            self.networks.mkdir(exist_ok=True)
            self._remove_leftovers()
        except FileExistsError as error:
            raise UserError(
                f"--run_dir={self.path} is no directory, nor a link to one; name a new --run_dir"
            ) from error
        except OSError as error:
            raise UserError(f"--run_dir={self.path} can't be written: {error.strerror}") from error

    def refuse_links(self) -> None:
        """Refuse symbolic links in the place of the run's own files.

        Raises:
          UserError: names the first one.
        """
        own = sorted(path for path in self.path.glob("*") if _OWN.fullmatch(path.name))
        for name in _FOLLOWED:
            for folder, folders, files in os.walk(self.path / name):
                own += [Path(folder, entry) for entry in (*folders, *files)]
        for path in own:
            if path.is_symlink():
                raise UserError(
                    f"{path}: is a symbolic link, and a run writes to no other directory; move "
                    f"there what it stands for. Received: a link to {os.readlink(path)}"
                )

    def _refuse_changes(self, saved: TrainConfig, config: TrainConfig, pyramid: Pyramid) -> None:
        file = self.path / CONFIG_NAME
        changed = flags.differences(saved, config)
        if changed:
            done = self._images_done()
            raise UserError(
                f"{file}: this run was made with other flags: {', '.join(map(str, changed))}. "
                "Leave them out to continue it, or "
                + way_on(self.path, saved, config, changed, done)
            )
        note = read_flagfile(file).splitlines()
        other = difference(note, pyramid)
        if other is not None:
            can_branch = self._images_done() > 0 and is_for_networks_of(note, pyramid)
            words = [
                "pgan-train",
                f"--init_from={self.path}",
                f"--data_dir={config.data.data_dir}",
                f"--run_dir={free_name(self.path)}",
            ]
            branch = f"To train its networks on these: {shlex.join(words)}"
            raise UserError(
                f"{file}: this run was made with {other}, in {config.data.data_dir}. "
                + (branch if can_branch else "For these name a new --run_dir")
            )
        total, done = config.schedule.total_kimg, self._images_done()
        if total < saved.schedule.total_kimg and 1000 * total < done:
            raise UserError(
                f"--total_kimg must be at least {done / 1000:g}, which this run has done. "
                f"Received: {total:g}"
            )

    def _images_done(self) -> int:
        """Return the real images that the newest checkpoint has seen; 0 if there is none."""
        saved = list_checkpoints(self.checkpoints)
        return saved[0].images_seen if saved else 0

    def _lock(self) -> None:
        # The lock belongs to the open directory, so the operating system releases it however the
        # process ends.
        self._opened = os.open(self.path, os.O_RDONLY)
        try:
            lock(self._opened)
        except BlockingIOError as error:
            self.close()
            raise UserError(f"{self.path}: another pgan-train is writing to it") from error

    def close(self) -> None:
        """Unlock the directory, so that other processes may write to it."""
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    def is_locked(self) -> bool:
        """Return whether a process is training in the directory, which must exist.

        Where the file system has no locks, one may be.
        """
        opened = os.open(self.path, os.O_RDONLY)
        try:
            return not lock(opened, shared=True)
        except BlockingIOError:
            return True
        finally:
            os.close(opened)

    def _remove_leftovers(self) -> None:
        remove_leftovers(self.path)
        remove_leftovers(self.networks)
        for path in self.checkpoints.glob("*_temp"):
            if _UNFINISHED.fullmatch(path.name) and path.is_dir():
                for part in path.iterdir():
                    if _UNFINISHED_PART.fullmatch(part.name):
                        part.unlink()
                with contextlib.suppress(OSError):  # files of others stay
                    path.rmdir()
        for path in self.checkpoints.glob("*.data-?????-of-?????"):
            # Written first and deleted last: without an index it is no checkpoint.
            if _DATA.fullmatch(path.name) and not path.with_suffix(".index").exists():
                path.unlink()


def _is_obstacle(path: Path) -> bool:
    """Return whether a run can't begin beside a file or directory.

    A log, a note or a system's file doesn't collide with what a run writes. A directory, or a
    pyramid, is there for another purpose.
    """
    names = (_OWN, _OF_PYRAMID)
    return not is_system_file(path.name) and (
        path.is_dir() or any(name.fullmatch(path.name.lower()) for name in names)
    )


class CheckpointId(NamedTuple):
    """The point of a run at which a checkpoint was saved; ids sort by age.

    Everything saved after a rollback is newer than anything before it.

    Attributes:
      rollbacks: how often the run had gone back to an earlier checkpoint.
      images_seen: real images shown until then.
      healthy: whether the updates just before it were finite.
    """

    rollbacks: int
    images_seen: int
    healthy: bool

    @property
    def name(self) -> str:
        """Name of its files without a suffix.

        As `state-000000096`, `state-r1-000000096` or `state-000000096-skipping`.
        """
        return self._name(f"{self.images_seen:09d}")

    @property
    def earlier_name(self) -> str:
        """Name of its files by earlier versions, which do not sort by age: `state-96`."""
        return self._name(f"{self.images_seen}")

    def _name(self, images_seen: str) -> str:
        rollbacks = f"r{self.rollbacks}-" if self.rollbacks else ""
        return f"state-{rollbacks}{images_seen}{'' if self.healthy else _SKIPPING}"


def checkpoint_path(directory: Path, checkpoint: CheckpointId) -> Path:
    """Return the path of a checkpoint without a suffix; of one that exists, as it is named."""
    names = (checkpoint.name, checkpoint.earlier_name)
    existing = (name for name in names if (directory / f"{name}.index").is_file())
    return directory / next(existing, checkpoint.name)


def checkpoint_files(directory: Path, checkpoint: CheckpointId) -> list[Path]:
    """Return the files of a checkpoint, the index first: data without an index is none."""
    names = (_INDEX, _DATA)
    found = [
        path
        for path in directory.glob(f"{checkpoint_path(directory, checkpoint).name}.*")
        if any(name.fullmatch(path.name) for name in names)
    ]
    return sorted(found, key=lambda path: path.suffix != ".index")


def list_checkpoints(directory: Path) -> list[CheckpointId]:
    """Return the complete checkpoints in a directory, newest first."""
    # TensorFlow writes the index last.
    indices = (path for path in directory.glob("*.index") if path.is_file())
    matches = (_INDEX.fullmatch(path.name) for path in indices)
    found = {
        CheckpointId(int(match["rollbacks"] or 0), int(match["images_seen"]), not match["skipping"])
        for match in matches
        if match
    }
    return sorted(found, reverse=True)


def read_config(path: str | os.PathLike) -> TrainConfig | None:
    """Read the configuration of the run at `path`; None if there is no run.

    Raises:
      UserError: its `config.flags` can't be read.
    """
    text = _config_text(path)
    return None if text is None else flags.parse_flagfile(text, str(Path(path) / CONFIG_NAME))


def left_out_flags(path: str | os.PathLike) -> list[str]:
    """Return the names of flags that the run at `path` was given, and that it does not remember."""
    return flags.left_out(_config_text(path) or "")


def base_of_run(path: str | os.PathLike) -> Base:
    """Return the base of the images of the run at `path`; of squares if there is no run."""
    return noted_base((_config_text(path) or "").splitlines())


def _config_text(path: str | os.PathLike) -> str | None:
    try:
        return read_flagfile(Path(path) / CONFIG_NAME)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def require_network(
    path: str | os.PathLike, expected: str = "run directory or .keras file"
) -> Path:
    """Return the path that `--network` names, if there is anything that may hold a generator.

    Commands ask before they import TensorFlow, which takes seconds.

    Args:
      path: a run directory, a `.keras` file, or `hf://user/name`, which is downloaded.
      expected: what else a command takes, for errors.

    Raises:
      UserError: there is neither a file nor a directory, or no such generator on the hub.
    """
    if is_on_hub(path):
        return fetch_generator(path)
    path = user_path(path)
    if not path.is_file() and not path.is_dir():
        received = "neither a file nor a directory" if path.exists() else "nothing"
        raise UserError(f"{path}: no such {expected}. Received: {received}")
    return path


def kimg_name(images_seen: int, *, fractions: bool) -> str:
    """Return kimg as file names have it: `000123`; with `fractions`, `000123.456`.

    Names of a run sort by time, so with `fractions` whole kimg have decimals, too.
    """
    thousands, rest = divmod(images_seen, 1000)
    return f"{thousands:06d}.{rest:03d}" if fractions else f"{thousands:06d}"


def format_duration(seconds: float) -> str:
    """Return a duration in two units, as progress lines and captions show it: `3h 25m`, `40s`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}h"
    if hours:
        return f"{hours}h {minute:02d}m"
    if minutes:
        return f"{minute}m {second:02d}s"
    return f"{second}s"
