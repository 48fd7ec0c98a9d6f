"""Faults of a run: going back to a checkpoint, or ending with an error that says what to do."""

import contextlib
import re
import shlex
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from pgan_tf.config.phases import Phase
from pgan_tf.distribution.cluster import Cluster
from pgan_tf.distribution.out_of_memory import tensorflow_says
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.agreement import chiefs_answer, share_state
from pgan_tf.training.preflight import fitting_microbatches
from pgan_tf.training.prepare import PreparedRun
from tfrecords_tools.errors import UserError

# Errors that TensorFlow raises when other workers are gone. Faults of a device raise the same
# classes, so the message must name a connection too.
_PEER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
# Lines about the graph say nothing of the reason.
_PEER_MESSAGE = re.compile(
    r"^(?!Detected at node).*"
    r"(collective|coordination|peer|heartbeat|\bRPC\b|grpc|/job:worker|connection).*",
    re.I | re.M,
)


class DivergedError(UserError):
    """Updates stopped being finite, and going back to a checkpoint did not help."""

    exit_code = 3


class LostWorkerError(UserError):
    """Another worker is gone. Starting all workers again continues the run."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


def go_back(run: PreparedRun, state: TrainState, checkpoints: Checkpoints) -> None:
    """Restore the newest healthy checkpoint, to go on from there with other noise.

    A run goes back once: noise that happens to be bad is left behind, and what fails again fails
    for another reason. Every worker must call this.

    Raises:
      DivergedError: the run has gone back before, or has no checkpoint.
    """
    failed_at, rollbacks = state.images_seen, state.rollbacks
    trouble = (
        f"{run.config.run.max_skipped_updates} updates in a row were not finite at "
        f"{failed_at / 1000:g} kimg, {run.schedule.phase_at(failed_at - 1).name}"
    )
    if rollbacks:
        raise DivergedError(
            f"{trouble}, although the run has gone back to a checkpoint before and on with "
            "other noise. The checkpoints stay as they are; a new run with a lower "
            "--learning_rate, or with --precision=float32, may get further"
        )
    restored = run.cluster.is_chief and checkpoints.restore(healthy=True)
    if not chiefs_answer(run.strategy, run.cluster, restored):
        raise DivergedError(f"{trouble}, and there is no checkpoint to go back to")
    if run.cluster.is_chief:
        state.rollbacks = rollbacks + 1
        checkpoints.save()
    share_state(run.strategy, run.cluster, state)
    logging.warning(
        "%s: going back to the checkpoint at %g kimg, and on with other noise",
        trouble,
        state.images_seen / 1000,
    )


def refuse_end_while_skipping(skipped: int, images_seen: int) -> None:
    """Refuse to end a run as if it had learned something, before its end is saved.

    Args:
      skipped: number of the last updates that were all skipped; 0 if the run may end.
      images_seen: at the end.

    Raises:
      DivergedError: it may not.
    """
    if skipped:
        raise DivergedError(
            f"the last {skipped} updates, up to the end at {images_seen / 1000:g} kimg, were not "
            "finite, and all were skipped: nothing was learned in them. Earlier checkpoints stay; "
            "a new run with a lower --learning_rate, or with --precision=float32, may get further"
        )


def warn_of_skipped_updates(skipped: int, updates: int) -> None:
    """Warn if most updates were skipped, although the last ones were not.

    Args:
      skipped: number of updates that were skipped since the start of this process.
      updates: number of all updates since then.
    """
    if skipped > updates / 2:
        logging.warning(
            "%d of %d updates since this start were not finite, and were skipped: little was "
            "learned. See to it that labels and --learning_rate are right, or train with "
            "--precision=float32",
            skipped,
            updates,
        )


@contextlib.contextmanager
def explain_lost_workers(cluster: Cluster) -> Iterator[None]:
    """Raise LostWorkerError for the errors that TensorFlow raises when another worker is gone."""
    try:
        yield
    except _PEER_ERRORS as error:
        reason = _PEER_MESSAGE.search(str(error))
        if cluster.count == 1 or not reason:
            raise
        raise LostWorkerError(
            f"worker {cluster.index} of {cluster.count}: another worker has gone, or can't be "
            "reached; its own output says why. Start all of them again: the run continues from its "
            f"last checkpoint. TensorFlow says: {reason[0][:200]}"
        ) from error


def out_of_memory(run: PreparedRun, phase: Phase, error: BaseException) -> UserError:
    """Return the error for a phase whose batch does not fit in a device's memory.

    Args:
      run: the run.
      phase: the phase in which memory ran out.
      error: TensorFlow's.
    """
    options, batch_size = run.config.run, phase.batch_size
    count = fitting_microbatches(run.config, batch_size // run.replicas, times_more=2)
    same = (
        f"To train the same in less memory, continue with --microbatches={count}. Otherwise "
        if count
        else ""
    )
    lower = ", or --precision=mixed_bfloat16" if options.precision == "float32" else ""
    return UserError(
        f"out of memory in {phase.name} with --batch_size {batch_size}. The last checkpoint "
        f"stays. {same}--dry_run finds a batch that fits, and a new run can go on from this one "
        f"with it{lower}: --init_from={shlex.quote(options.run_dir)} "
        f"--batch_size_by_resolution={phase.resolution}:... {tensorflow_says(error)}"
    )
