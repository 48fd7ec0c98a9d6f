"""The dry run: a few steps of every phase, timed; and where a batch does not fit, one that does.

Needs no TensorFlow here: the steps run in a process of their own.
"""

import dataclasses
import signal

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.planning.phase_table import PhaseRow, format_table
from pgan_tf.planning.plan import fit_to_data_dir, headline
from pgan_tf.planning.step_memory import peak_bytes
from pgan_tf.planning.trial_process import (
    Crashed,
    Message,
    OutOfMemory,
    PhaseMeasured,
    Started,
    Trial,
    UserMistake,
    memory_limit,
    trial_process,
)
from pgan_tf.training.preflight import smaller_batch
from tfrecords_tools.errors import UserError, required


def dry_run(config: TrainConfig, trial: Trial) -> None:
    """Run a few steps of every phase at its real batch size, on the real devices and data.

    The phases that need most memory come first. One that runs out of memory is tried again with
    half the batch, and so on. Prints a line for each phase, then the table. Writes no files.

    Args:
      config: from flags and the run directory.
      trial: runs the steps in the child process; can be pickled.

    Raises:
      UserError: the data do not fit the configuration, or a batch does not fit in memory. Then the
        table has been printed, and the error names the batches that fit.
    """
    required(config.data.data_dir, "data_dir", "pgan-train")
    config = fit_to_data_dir(config)
    schedule = Schedule(config.schedule, config.network.final_resolution)
    progress = _Progress(config, schedule)
    while progress.pending:
        with trial_process(trial, config, progress.pending, progress.limit) as messages:
            for message in messages:
                progress.note(message)
    print(f"\n{format_table(progress.rows())}\n\n{progress.explanation()}", flush=True)
    progress.raise_for_batches_too_large()


class _Progress:
    """Results so far, and the phases still to try.

    Attributes:
      pending: phases to try, in order, with the batch sizes to try.
      limit: bytes of the host's memory that tensors may take; None if unknown.
    """

    def __init__(self, config: TrainConfig, schedule: Schedule):
        self._config = config
        self._schedule = schedule
        self._measured: dict[int, tuple[Phase, PhaseMeasured]] = {}  # by the phase's index
        self._too_large: dict[int, int] = {}  # smallest batch that did not fit, by resolution
        self._started: Started | None = None
        self.limit = memory_limit()
        self.pending = sorted(schedule.phases, key=self._predicted, reverse=True)

    def note(self, message: Message) -> None:
        """Record a message of the trial's process.

        Raises:
          UserError: the message is a user's mistake.
          RuntimeError: the process crashed for another reason than a lack of memory.
        """
        if isinstance(message, UserMistake):
            error = UserError(message.text)
            error.exit_code = message.exit_code
            raise error
        if isinstance(message, Crashed):
            self._note_crash(message.code)
        elif isinstance(message, OutOfMemory):
            self._note_out_of_memory("too large, by estimate" if message.expected else "too large")
        elif isinstance(message, PhaseMeasured):
            phase = self.pending.pop(0)
            self._measured[phase.index] = phase, message
            _say(
                f"{phase.name}, batch {phase.batch_size}: prepared in {message.prepared:.1f} s, "
                f"{message.step_seconds:.3g} s a step, {message.peak / 2**30:.3g} GiB"
            )
        elif isinstance(message, Started) and self._started is None:
            self._started = message
            _say(f"{headline(self._config, message.replicas)}: {message.devices}")

    def _note_crash(self, code: int) -> None:
        # The operating system kills processes when memory runs out. And on CPUs, some of
        # TensorFlow's kernels use memory without checking that they got it.
        killed = code == -signal.SIGKILL
        crashed = code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)
        if killed or (crashed and self._is_memory_short()):
            self._note_out_of_memory(f"too large, ended by {signal.Signals(-code).name}")
        else:
            raise RuntimeError(f"the dry run's process ended with code {code}")

    def _is_memory_short(self) -> bool:
        return self.limit is not None and self._predicted(self.pending[0]) > self.limit / 2

    def _predicted(self, phase: Phase) -> float:
        return peak_bytes(self._config, phase.resolution, phase.batch_size, fading=phase.fading)

    def _note_out_of_memory(self, what: str) -> None:
        if self._started is None:
            raise UserError("there is not enough memory for TensorFlow to start")
        tried = self.pending[0]
        resolution = tried.resolution
        if self._config.run.distribution == "multi_worker":
            # The other workers wait for this one's gradients, and could not try another batch.
            raise UserError(
                f"{tried.name}, batch {tried.batch_size}: this worker ran out of memory. To find "
                "what fits, give one worker its part of the batch, with --distribution=mirrored"
            )
        self._too_large[resolution] = tried.batch_size
        smaller = smaller_batch(tried.batch_size, self._config.network, self._started.replicas)
        _say(f"{tried.name}, batch {tried.batch_size}: {what}")
        # The other phase of the stage has the same batch.
        stage = [p for p in self.pending if p.resolution == resolution]
        stage += [p for p, _ in self._measured.values() if p.resolution == resolution]
        others = [p for p in self.pending if p.resolution != resolution]
        for phase in stage:
            self._measured.pop(phase.index, None)
        retried = [dataclasses.replace(p, batch_size=smaller) for p in stage] if smaller else []
        self.pending = retried + others

    def rows(self) -> list[PhaseRow]:
        """Return the table's rows; a batch that does not fit is followed by one that does."""
        replicas = self._started.replicas if self._started else 1
        rows = []
        for phase in self._schedule.phases:
            tried, measured = self._measured.get(phase.index, (None, None))
            if tried != phase:
                rows.append(PhaseRow(phase, replicas, None, None, phase.batch_size, "does not fit"))
            if tried and measured:
                note = "" if tried == phase else "fits"
                # None where all tensors are too small to be counted.
                seconds, peak = measured.step_seconds, measured.peak or None
                rows.append(PhaseRow(phase, replicas, seconds, peak, tried.batch_size, note))
        return rows

    def explanation(self) -> str:
        """Return remarks on where the table's numbers are from."""
        resident = max((m.resident for _, m in self._measured.values()), default=0)
        return (
            "seconds: measured, of the steps after the first; reading, grids, checkpoints and the "
            "preparation of graphs come on top\n"
            "memory: measured, of the tensors on the fullest device; the whole process took "
            f"{resident / 2**30:.2f} GiB of the host's"
        )

    def raise_for_batches_too_large(self) -> None:
        """Raise UserError, naming the batches that fit, unless all of them fit."""
        if not self._too_large:
            return
        fitting = {phase.resolution: phase.batch_size for phase, _ in self._measured.values()}
        for resolution in sorted(self._too_large):
            if resolution not in fitting:
                raise UserError(
                    f"{resolution}x{resolution} does not fit in memory with any batch: lower "
                    "--fmap_base or --resolution, or give --precision=mixed_bfloat16"
                )
        found = {resolution: fitting[resolution] for resolution in self._too_large}
        batches = {**self._config.schedule.batch_size_by_resolution, **found}
        names = ", ".join(f"{r}x{r}" for r in sorted(self._too_large))
        flag = ",".join(f"{r}:{batch}" for r, batch in sorted(batches.items()))
        raise UserError(
            f"the batch at {names} does not fit in memory. What does: "
            f"--batch_size_by_resolution={flag}"
        )


def _say(line: str) -> None:
    print(line, flush=True)
