"""The dry run: a few steps of phases, timed; and where a batch does not fit, one that does.

Needs no TensorFlow here: the steps run in a process of their own.
"""

import dataclasses
import math
import signal
import time
from collections.abc import Mapping, Sequence

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.networks.cost import StepTimes, multiplications
from pgan_tf.planning.phase_table import PhaseRow, format_table
from pgan_tf.planning.plan import fit_to_data_dir, headline
from pgan_tf.planning.so_far import describe_time, read_so_far
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
from pgan_tf.training.preflight import fitting_microbatches, smaller_batch
from tfrecords_tools.errors import UserError, required
from tfrecords_tools.printable import say

# On GPUs, preparing a phase takes up to minutes. After so many seconds, only those phases are still
# tried of which memory may be short.
_BUDGET_SECONDS = 180.0

# A phase takes less memory than another if the formula says at most this part: measurements and
# formula differ by a factor of 0.74 to 1.21 (docs/guide/planning.md).
_SURELY_LESS = 0.6


def dry_run(config: TrainConfig, trial: Trial) -> None:
    """Run a few steps of phases at their real batch size, on the real devices and data.

    The phases that need most memory come first. One that runs out of memory is tried again with
    half the batch, and so on. What they leave of three minutes is for the others, whose time is
    otherwise derived. Prints a line for each phase tried, then the table. Of a run that has begun,
    it is about the phases that remain. Writes no files.

    Args:
      config: from flags and the run directory.
      trial: runs the steps in the child process; can be pickled.

    Raises:
      UserError: the data do not fit the configuration, or a batch does not fit in memory. Then the
        table has been printed, and the error names the batches that fit.
    """
    required(config.data.data_dir, "data_dir", "pgan-train")
    run_dir = config.run.run_dir
    config = fit_to_data_dir(config)
    schedule = config.lay_out()
    so_far = read_so_far(run_dir, schedule)
    remaining = schedule.phases_from(so_far.images_seen)
    if not remaining:
        say(describe_time([], so_far, schedule, run_dir))
        return
    progress = _Progress(config, schedule, remaining)
    while progress.pending:
        with trial_process(trial, config, progress.pending, progress.limit) as messages:
            for message in messages:
                progress.note(message)
                if progress.is_enough():
                    break
    rows = progress.rows(so_far.images_seen)
    time = describe_time(rows, so_far, schedule, run_dir)
    say("", *format_table(rows).split("\n"), "", time, *progress.explanation().split("\n"))
    progress.raise_for_batches_too_large()


class _Progress:
    """Results so far, and the phases still to try.

    Attributes:
      pending: phases to try, in order, with the batch sizes to try; empty when enough is known.
      limit: bytes of the host's memory that tensors may take; None if unknown.
    """

    def __init__(self, config: TrainConfig, schedule: Schedule, remaining: Sequence[Phase]):
        self._config = config
        self._remaining = remaining
        self._measured: dict[int, tuple[Phase, PhaseMeasured]] = {}  # by the phase's index
        self._too_large: dict[int, int] = {}  # smallest batch that did not fit, by resolution
        self._started: Started | None = None
        self.limit = memory_limit()
        # All of several workers must try the same phases, and not all see the run directory.
        several = config.run.distribution == "multi_worker"
        phases = schedule.phases if several else remaining
        self._quickest = min(phases, key=self._work)
        self.pending = self._in_order(phases)
        self._began = time.monotonic()

    def _in_order(self, phases: Sequence[Phase]) -> list[Phase]:
        """Return the phases that may need most memory, the quickest, and those that last longest.

        The times of phases between the quickest and the slowest can be derived.
        """
        by_memory = sorted(phases, key=self._predicted, reverse=True)
        enough = _SURELY_LESS * self._predicted(by_memory[0])
        first = [phase for phase in by_memory if self._predicted(phase) > enough]
        others = [phase for phase in phases if phase not in first]
        others.sort(key=lambda p: (p == self._quickest, self._share_of_run(p)), reverse=True)
        return first + others

    def _work(self, phase: Phase) -> int:
        network = self._config.network
        per_image = multiplications(network, phase.resolution, fading=phase.fading)
        return per_image * phase.batch_size

    def _share_of_run(self, phase: Phase) -> float:
        return self._work(phase) / phase.batch_size * (phase.end - phase.start)

    def is_enough(self) -> bool:
        """Return whether no phase needs to be tried any more; if so, forget those pending."""
        is_alone = self._config.run.distribution != "multi_worker"
        is_over = time.monotonic() - self._began >= _BUDGET_SECONDS
        if not (is_alone and is_over and self._quickest.index in self._measured):
            return False
        if any(map(self._may_need_most, self.pending)):
            return False
        self.pending = []
        return True

    def _may_need_most(self, phase: Phase) -> bool:
        if phase.resolution in self._too_large:
            return True
        most = max(self._predicted(tried) for tried, _ in self._measured.values())
        return self._predicted(phase) > _SURELY_LESS * most

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
            say(
                f"{phase.name}, batch {phase.batch_size}: prepared in {message.prepared:.1f} s, "
                f"{message.step_seconds:.3g} s a step, {message.peak / 2**30:.3g} GiB"
            )
        elif isinstance(message, Started) and self._started is None:
            self._started = message
            say(f"{headline(self._config, message.replicas)}: {message.devices}")

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
        say(f"{tried.name}, batch {tried.batch_size}: {what}")
        # The other phase of the stage has the same batch.
        stage = [p for p in self.pending if p.resolution == resolution]
        stage += [p for p, _ in self._measured.values() if p.resolution == resolution]
        others = [p for p in self.pending if p.resolution != resolution]
        for phase in stage:
            self._measured.pop(phase.index, None)
        retried = [dataclasses.replace(p, batch_size=smaller) for p in stage] if smaller else []
        self.pending = retried + others

    def rows(self, images_seen: int) -> list[PhaseRow]:
        """Return the table's rows; a batch that does not fit is followed by one that does.

        Args:
          images_seen: real images that the run has shown.
        """
        replicas = self._started.replicas if self._started else 1
        times = StepTimes(self._config)
        for known, result in self._measured.values():
            times.add(known, result.step_seconds / known.batch_size)
        rows = []
        for phase in self._remaining:
            tried, measured = self._measured.get(phase.index, (None, None))
            if self._is_derived(phase):
                seconds = times.seconds(phase)
                rows.append(PhaseRow(phase, replicas, seconds, None, phase.batch_size, "derived"))
            elif tried != phase:
                rows.append(PhaseRow(phase, replicas, None, None, phase.batch_size, "does not fit"))
            if tried and measured:
                note = "" if tried == phase else "fits"
                # None where all tensors are too small to be counted.
                seconds, peak = measured.step_seconds, measured.peak or None
                rows.append(PhaseRow(phase, replicas, seconds, peak, tried.batch_size, note))
        return [dataclasses.replace(row, images_seen=images_seen) for row in rows]

    def _is_derived(self, phase: Phase) -> bool:
        """Return whether a phase was left out, once enough was known."""
        return phase.index not in self._measured and phase.resolution not in self._too_large

    def explanation(self) -> str:
        """Return remarks on where the table's numbers are from."""
        resident = max((m.resident for _, m in self._measured.values()), default=0)
        lines = [
            "seconds: measured, of the steps after the first; reading, grids, checkpoints and the "
            "preparation of graphs come on top",
            "memory: measured, of the tensors on the fullest device after the first step; the "
            f"whole process took {resident / 2**30:.2f} GiB of the host's",
        ]
        if any(map(self._is_derived, self._remaining)):
            lines.append(
                "derived: not tried, because these phases need less memory than others; seconds by "
                "multiplications, from the phases that were measured"
            )
        return "\n".join(lines)

    def raise_for_batches_too_large(self) -> None:
        """Raise UserError, naming the batches that fit, unless all of them fit."""
        if not self._too_large:
            return
        fitting = {phase.resolution: phase.batch_size for phase, _ in self._measured.values()}
        for resolution in sorted(self._too_large):
            if resolution not in fitting:
                size = self._config.network.size_text(resolution)
                raise UserError(
                    f"{size} does not fit in memory with any batch: lower "
                    "--fmap_base or --resolution, or give --precision=mixed_bfloat16"
                )
        found = {resolution: fitting[resolution] for resolution in self._too_large}
        batches = {**self._config.schedule.batch_size_by_resolution, **found}
        names = ", ".join(map(self._config.network.size_text, sorted(self._too_large)))
        flag = ",".join(f"{r}:{batch}" for r, batch in sorted(batches.items()))
        count = self._microbatches(found)
        same = f"; or, to train the same, --microbatches={count}" if count else ""
        raise UserError(
            f"the batch at {names} does not fit in memory. What does: "
            f"--batch_size_by_resolution={flag}{same}"
        )

    def _microbatches(self, fitting: Mapping[int, int]) -> int | None:
        """Return the number of microbatches of at most the batches that fit; None: impossible.

        Args:
          fitting: global batch sizes that fit, by resolution.
        """
        replicas = self._started.replicas if self._started else 1
        counts = []
        for resolution, size in fitting.items():
            wanted = self._config.schedule.batch_size_at(resolution)
            parts = math.ceil(wanted / size)
            count = fitting_microbatches(self._config, wanted // replicas, times_more=parts)
            if count is None:
                return None
            counts.append(count)
        return max(counts)
