"""The scalars of a tick: averages over its steps, speed, and memory; and its progress line."""

import collections
import dataclasses
import re
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from pgan_tf.config.phases import Phase, Step
from pgan_tf.runs.run_directory import format_duration
from pgan_tf.step.outputs import StepResult

_GIB = 2.0**30
_STATUS = Path("/proc/self/status")


@dataclasses.dataclass(frozen=True)
class FinishedCall:
    """A call of the training graph whose steps are done.

    Attributes:
      steps: that it has taken, of one phase.
      result: of the call, read.
      data_wait: seconds that training waited for its batches.
      host_seconds: seconds that the training thread took to start it; on CPUs, to run it.
      started: `time.monotonic()` when the training thread began to work for it.
      finished: `time.monotonic()` when its result had been read.
      makes_graph: whether it was the first of its graph.
    """

    steps: Sequence[Step]
    result: StepResult
    data_wait: float
    host_seconds: float
    started: float
    finished: float
    makes_graph: bool = False

    @property
    def last_step(self) -> Step:
        """The last of the steps."""
        return self.steps[-1]


@dataclasses.dataclass
class _Work:
    """Sums over calls."""

    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    host_seconds: float = 0.0

    def add(self, call: FinishedCall) -> None:
        self.steps += len(call.steps)
        self.images += len(call.steps) * call.last_step.phase.batch_size
        self.seconds += call.finished - call.started
        self.host_seconds += call.host_seconds


class Ticker:
    """Averages the scalars of the steps between two ticks, and measures their speed.

    A tick ends when its last step was done, whenever it is reported.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """Start the clock.

        Args:
          clock: returns seconds since any fixed time; tests pass their own.
        """
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Start again from here, as after work that is not training."""
        self._begin(self._clock())

    def _begin(self, now: float) -> None:
        self._totals: collections.defaultdict[str, float] = collections.defaultdict(float)
        self._counts: collections.Counter[str] = collections.Counter()
        self._data_wait = 0.0
        self._since = self._until = now
        self._measured, self._excluded = _Work(), _Work()

    @property
    def is_empty(self) -> bool:
        """True if no step was taken since the last tick."""
        return not self._measured.steps + self._excluded.steps

    def add(self, call: FinishedCall) -> None:
        """Add the steps of a call. One that made a graph is left out of the speed."""
        # Step by step, so that the sums do not depend on the number of steps in a call.
        for row in call.result.scalars.tolist():
            for name, value in zip(call.result.names, row, strict=True):
                self._totals[name] += value
        self._counts.update(dict.fromkeys(call.result.names, len(call.steps)))
        if not call.makes_graph:
            self._data_wait += call.data_wait
        self._until = call.finished
        (self._excluded if call.makes_graph else self._measured).add(call)

    def report(self) -> dict[str, float]:
        """Return the scalars since the last tick, and start the next one.

        Returns:
          Means over the steps that had the scalar (the generator is not trained in every step);
          sums for skipped updates; and speeds, unless every call made a graph: the time of a step
          can't be told from that of the preparation.
        """
        scalars = {
            name: total / (1 if name.endswith("_skipped") else self._counts[name])
            for name, total in self._totals.items()
        }
        if self._measured.steps:
            scalars.update(self._speeds())
        self._begin(self._until)
        return scalars

    def _speeds(self) -> dict[str, float]:
        work = self._measured
        seconds = max(self._until - self._since - self._excluded.seconds, 1e-9)
        return {
            "speed/images_per_second": work.images / seconds,
            "speed/seconds_per_kimg": 1000 * seconds / work.images,
            "speed/data_wait_fraction": self._data_wait / seconds,
            "speed/host_seconds_per_step": work.host_seconds / work.steps,
        }


def progress_line(
    phase: Phase, alpha: float, images_seen: int, scalars: Mapping[str, float], eta: float | None
) -> str:
    """Return the line that is printed at a tick.

    Args:
      phase: being trained.
      alpha: at the tick.
      images_seen: at the tick.
      scalars: of the tick.
      eta: seconds until the end of training; None if no speed is known yet.
    """
    skipped = sum(value for name, value in scalars.items() if name.endswith("_skipped"))
    fields = [
        f"{phase.name:<16}",
        f"alpha {alpha:.3f}",
        f"kimg {images_seen / 1000:.1f}",
    ]
    if "speed/images_per_second" in scalars:
        fields.append(f"{scalars['speed/images_per_second']:.1f} img/s")
        fields.append(f"{scalars['speed/seconds_per_kimg']:.1f} s/kimg")
    if eta is not None:
        fields.append(f"ETA {format_duration(eta)}")
    fields.append(f"D {scalars['loss/discriminator']:.3f}")
    if "loss/generator" in scalars:  # if it was trained in this tick
        fields.append(f"G {scalars['loss/generator']:.3f}")
    if skipped:
        fields.append(f"{skipped:.0f} updates skipped")
    return "  ".join(fields)


def memory_scalars() -> dict[str, float]:
    """Measure the memory in use now, and the most since the process began, in GiB.

    Returns:
      `memory/host_gib` (on Linux only) and `memory/host_peak_gib`, the resident memory of this
      process; and for each GPU `memory/gpu0_gib` and `memory/gpu0_peak_gib`, as counted by
      TensorFlow's allocator.
    """
    scalars = {f"memory/{name}": count / _GIB for name, count in _host_bytes().items()}
    for i in range(len(tf.config.list_logical_devices("GPU"))):
        info = tf.config.experimental.get_memory_info(f"GPU:{i}")
        scalars[f"memory/gpu{i}_gib"] = info["current"] / _GIB
        scalars[f"memory/gpu{i}_peak_gib"] = info["peak"] / _GIB
    return scalars


def _host_bytes() -> dict[str, int]:
    # getrusage only without /proc: on Linux its peak includes that of the parent process.
    if not _STATUS.exists():
        return {"host_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    kib = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE))
    return {"host_gib": int(kib["VmRSS"]) * 1024, "host_peak_gib": int(kib["VmHWM"]) * 1024}
