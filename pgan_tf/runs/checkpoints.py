"""Checkpoints: the whole training state, saved and restored."""

import re
from pathlib import Path

import tensorflow as tf
from absl import logging

from pgan_tf.distribution.out_of_memory import is_out_of_memory
from pgan_tf.runs.checkpoint_reader import open_checkpoint
from pgan_tf.runs.run_directory import (
    CheckpointId,
    checkpoint_files,
    checkpoint_path,
    list_checkpoints,
)
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.errors import UserError

# Names of graph nodes in TensorFlow's messages, which mean nothing to a user.
_GRAPH_NOTES = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\]")


class Checkpoints:
    """The checkpoints of one run directory: `state-<images_seen>.index` and `.data-*`.

    The number has nine digits, so that names sort by age; those of earlier versions have fewer.
    After the first rollback they are named `state-r1-<images_seen>`. Those saved while updates were
    being skipped end in `-skipping`: a run continues from them, but does not go back to them.

    Variables are stored by name (`TrainState.variables`), so that a checkpoint documents itself and
    any program that uses the same names can read it. There is no separate list of checkpoints:
    TensorFlow writes the index last, so a checkpoint with an index is complete.
    """

    def __init__(self, directory: Path, state: TrainState, *, keep: int):
        """Write nothing yet.

        Args:
          directory: of the checkpoints; made with the first one.
          state: the training state to save and restore.
          keep: number of checkpoints to keep; older ones are deleted.
        """
        self._directory = directory
        self._state = state
        self._keep = keep
        self._checkpoint = tf.train.Checkpoint(variables=state.variables())
        self._last: CheckpointId | None = None

    def save(self, *, healthy: bool = True) -> None:
        """Save the current state unless that is done already, and delete old checkpoints.

        The newest healthy checkpoint stays, however old it is.

        Args:
          healthy: whether the last updates were finite.

        Raises:
          UserError: the checkpoint can't be written; earlier ones stay as they were.
        """
        now = CheckpointId(self._state.rollbacks, self._state.images_seen, healthy)
        if self._last and now[:2] == self._last[:2]:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._state.store_counters()
            self._checkpoint.write(self._path(now))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"{self._directory}: the checkpoint at {now.images_seen} images can't be written, "
                f"the ones before it stay: {_GRAPH_NOTES.sub('', str(error))}"
            ) from error
        self._last = now
        saved = list_checkpoints(self._directory)
        newest_healthy = next((checkpoint for checkpoint in saved if checkpoint.healthy), None)
        for old in saved[self._keep :]:
            if old != newest_healthy:
                self._delete(old)

    @property
    def is_healthy(self) -> bool:
        """False if updates were not finite at the newest checkpoint of this process."""
        return self._last is None or self._last.healthy

    def restore(self, *, healthy: bool = False) -> bool:
        """Restore the newest checkpoint that can be read.

        Newer ones that can't be read are renamed to names that end in `.unreadable`.

        Args:
          healthy: restore only a checkpoint that was saved while updates were finite.

        Returns:
          False if there are no checkpoints at all.

        Raises:
          UserError: there are checkpoints, but none of them can be read.
        """
        candidates = [c for c in list_checkpoints(self._directory) if c.healthy or not healthy]
        for number, candidate in enumerate(candidates):
            path = self._path(candidate)
            try:
                open_checkpoint(Path(path))
                self._checkpoint.read(path).assert_consumed()
                self._state.load_counters()
                self._check_counters(candidate)
            except Exception as error:  # TensorFlow fails in any way on a damaged file
                if is_out_of_memory(error):
                    raise
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                logging.warning("%s can't be read, trying the one before it: %s", path, reason)
            else:
                self._last = candidate
                for unreadable in candidates[:number]:
                    self._put_aside(unreadable)
                return True
        if candidates:
            raise UserError(
                f"{self._directory}: none of its {len(candidates)} checkpoints can be read"
            )
        return False

    def _path(self, checkpoint: CheckpointId) -> str:
        return str(checkpoint_path(self._directory, checkpoint))

    def _put_aside(self, checkpoint: CheckpointId) -> None:
        # Not deleted, in case somebody can still recover it; but no longer counted among those
        # to keep.
        for path in checkpoint_files(self._directory, checkpoint):
            path.rename(path.with_name(f"{path.name}.unreadable"))

    def _check_counters(self, checkpoint: CheckpointId) -> None:
        """Refuse counters other than those in the file's name."""
        state = self._state
        counters = CheckpointId(state.rollbacks, state.images_seen, checkpoint.healthy)
        if counters != checkpoint or state.phase_index < 0:
            raise ValueError(
                f"its counters are those of {counters.name}, phase {state.phase_index}"
            )

    def _delete(self, checkpoint: CheckpointId) -> None:
        for path in checkpoint_files(self._directory, checkpoint):
            path.unlink(missing_ok=True)
