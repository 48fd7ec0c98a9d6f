"""Saving and restoring the whole training state, newest readable checkpoint first."""

import re
from pathlib import Path

import tensorflow as tf
from absl import logging

from pgan_tf.runs.checkpoint_files import Moment, newest_first
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.errors import UserError

# What TensorFlow adds to its messages, which tells a user nothing.
_GRAPH_NOTES = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\]")

# What TensorFlow raises for files that are damaged, missing, or of another program.
_UNREADABLE = (tf.errors.OpError, OSError, LookupError, ValueError, AssertionError, RuntimeError)


class Checkpoints:
    """The checkpoints of one run directory: `state-<images_seen>.index` and `.data-*`.

    Those written after the run has gone back once are named `state-r1-<images_seen>`; those written
    while updates were being skipped end in `-skipping`: a run continues from them, but does not go
    back to them.

    Variables are kept by name (`TrainState.variables`), so a checkpoint says what it holds and fits
    any program that names its state alike. Which checkpoints there are is told by the files
    themselves: TensorFlow writes the index last, so one with an index was written whole.
    """

    def __init__(self, directory: Path, state: TrainState, *, keep: int):
        """
        Args:
          directory: where they are; made with the first one.
          state: what is saved and restored.
          keep: how many stay; older ones are deleted.
        """
        self._directory = directory
        self._state = state
        self._keep = keep
        self._checkpoint = tf.train.Checkpoint(variables=state.variables())
        self._saved_at: Moment | None = None

    def save(self, *, healthy: bool = True) -> None:
        """Saves the state as of now, unless that is saved already, and deletes what is too old.

        The newest healthy checkpoint stays, however old it is.

        Args:
          healthy: whether the last updates were finite.

        Raises:
          UserError: it can't be written; the checkpoints before it stay as they were.
        """
        now = Moment(self._state.rollbacks, self._state.images_seen, healthy)
        if self._saved_at and now[:2] == self._saved_at[:2]:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._checkpoint.write(self._path(now))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"{self._directory}: the checkpoint at {now.images_seen} images can't be written, "
                f"the ones before it stay: {_GRAPH_NOTES.sub('', str(error))}"
            ) from error
        self._saved_at = now
        moments = newest_first(self._directory)
        to_go_back_to = next((moment for moment in moments if moment.healthy), None)
        for old in moments[self._keep :]:
            if old != to_go_back_to:
                self._delete(old)

    def restore(self, *, healthy: bool = False) -> bool:
        """Restores the newest checkpoint that can be read; False where there is none at all.

        Newer ones, which can't be read, are put aside under names that end in `.unreadable`.

        Args:
          healthy: whether to take only one that was written while updates were finite.

        Raises:
          UserError: there are checkpoints, but none of them can be read.
        """
        candidates = [m for m in newest_first(self._directory) if m.healthy or not healthy]
        for number, moment in enumerate(candidates):
            path = self._path(moment)
            try:
                self._checkpoint.read(path).assert_consumed()
            except _UNREADABLE as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                logging.warning("%s can't be read, trying the one before it: %s", path, reason)
            else:
                self._saved_at = moment
                for unreadable in candidates[:number]:
                    self._put_aside(unreadable)
                return True
        if candidates:
            raise UserError(
                f"{self._directory}: none of its {len(candidates)} checkpoints can be read"
            )
        return False

    def _path(self, moment: Moment) -> str:
        return str(self._directory / moment.name)

    def _put_aside(self, moment: Moment) -> None:
        # Not deleted, in case somebody can still make something of it; but neither counted among
        # those that are kept.
        for path in self._directory.glob(f"{moment.name}.*"):
            path.rename(path.with_name(f"{path.name}.unreadable"))

    def _delete(self, moment: Moment) -> None:
        path = Path(self._path(moment))
        # The index first: what is left without one is no checkpoint.
        path.with_name(f"{path.name}.index").unlink(missing_ok=True)
        for data in self._directory.glob(f"{path.name}.data-*"):
            data.unlink(missing_ok=True)
