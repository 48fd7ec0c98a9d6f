"""Saving and restoring the whole training state, newest readable checkpoint first."""

from pathlib import Path

import tensorflow as tf
from absl import logging

from pgan_tf.state import TrainState
from tfrecords_tools.errors import UserError

PREFIX = "state"

# What TensorFlow raises for files that are damaged, missing, or of another program.
_UNREADABLE = (tf.errors.OpError, OSError, LookupError, ValueError, AssertionError, RuntimeError)


class Checkpoints:
    """The checkpoints of one run directory, named by images_seen.

    Variables are kept by name (`TrainState.variables`), so a checkpoint says what it holds and fits
    any program that names its state alike.
    """

    def __init__(self, directory: Path, state: TrainState, *, keep: int):
        """
        Args:
          directory: where they are; made with the first one.
          state: what is saved and restored.
          keep: how many stay; older ones are deleted.
        """
        self._state = state
        self._checkpoint = tf.train.Checkpoint(variables=state.variables())
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(directory), max_to_keep=keep, checkpoint_name=PREFIX
        )
        self._directory = directory
        self._saved_at: int | None = None

    def save(self) -> None:
        """Saves the state as of now, unless that is saved already.

        Raises:
          UserError: it can't be written; the checkpoints before it stay as they were.
        """
        images_seen = self._state.images_seen
        if images_seen == self._saved_at:
            return
        try:
            self._manager.save(checkpoint_number=images_seen)
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"{self._directory}: the checkpoint at {images_seen} images can't be written, "
                f"the ones before it stay: {getattr(error, 'message', error)}"
            ) from error
        self._saved_at = images_seen

    def restore(self) -> bool:
        """Restores the newest checkpoint that can be read; False where there is none at all.

        Raises:
          UserError: there are checkpoints, but none of them can be read.
        """
        candidates = list(reversed(self._manager.checkpoints))
        for path in candidates:
            try:
                self._checkpoint.restore(path).assert_consumed()
            except _UNREADABLE as error:
                logging.warning("%s can't be read, trying the one before it: %s", path, error)
            else:
                self._saved_at = self._state.images_seen
                return True
        if candidates:
            raise UserError(
                f"{self._directory}: none of its {len(candidates)} checkpoints can be read"
            )
        return False
