"""The scalars of a tick: averages over its steps, speed, and memory; and its progress line."""

import collections
import re
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from pgan_tf.config.phases import Phase
from pgan_tf.runs.run_directory import format_duration
from pgan_tf.step.outputs import StepResult

_GIB = 2.0**30
_STATUS = Path("/proc/self/status")


class Ticker:
    """Averages the scalars of the steps between two ticks, and measures their speed."""

    def __init__(self, images_seen: int, clock: Callable[[], float] = time.monotonic):
        """Start the clock.

        Args:
          images_seen: real images shown so far.
          clock: returns seconds since any fixed time; tests pass their own.
        """
        self._clock = clock
        self.restart(images_seen)

    def restart(self, images_seen: int) -> None:
        """Start again from here, as after work that is not training."""
        self._last: StepResult | None = None
        self._totals: collections.defaultdict[str, float] = collections.defaultdict(float)
        self._counts: collections.Counter[str] = collections.Counter()
        self._data_wait = 0.0
        self._since = self._clock()
        self._images_seen = images_seen
        self._excluded_seconds = 0.0
        self._excluded_images = 0

    def exclude(self, seconds: float, images: int) -> None:
        """Leave some time, and the images trained on in it, out of the speed."""
        self._excluded_seconds += seconds
        self._excluded_images += images

    def add(self, result: StepResult, *, data_wait: float) -> None:
        """Add the steps of a call.

        Their scalars are read while the next call runs, so that no device waits for it.

        Args:
          result: of the call.
          data_wait: seconds that the call waited for its batches.
        """
        self._sum_up_last()
        self._last = result
        self._data_wait += data_wait

    def _sum_up_last(self) -> None:
        if self._last is None:
            return
        # Step by step, so that the sums do not depend on the number of steps in a call.
        for row in self._last.scalars.tolist():
            for name, value in zip(self._last.names, row, strict=True):
                self._totals[name] += value
        self._counts.update(dict.fromkeys(self._last.names, len(self._last.scalars)))
        self._last = None

    def report(self, images_seen: int) -> dict[str, float]:
        """Return the scalars since the last tick, and start the next one.

        Args:
          images_seen: real images shown so far.

        Returns:
          Means over the steps that had the scalar (the generator is not trained in every step);
          sums for skipped updates; and speeds.
        """
        self._sum_up_last()
        scalars = {
            name: total / (1 if name.endswith("_skipped") else self._counts[name])
            for name, total in self._totals.items()
        }
        # Read the clock after the scalars: reading them waits for the device to finish.
        seconds = self._clock() - self._since
        images = images_seen - self._images_seen
        if images > self._excluded_images:
            seconds -= self._excluded_seconds
            images -= self._excluded_images
        seconds = max(seconds, 1e-9)
        scalars["speed/images_per_second"] = images / seconds
        scalars["speed/seconds_per_kimg"] = 1000 * seconds / max(images, 1)
        scalars["speed/data_wait_fraction"] = self._data_wait / seconds
        self.restart(images_seen)
        return scalars


def progress_line(
    phase: Phase, alpha: float, images_seen: int, scalars: Mapping[str, float], eta: float
) -> str:
    """Return the line that is printed at a tick.

    Args:
      phase: being trained.
      alpha: at the tick.
      images_seen: at the tick.
      scalars: of the tick.
      eta: seconds until the end of training.
    """
    skipped = sum(value for name, value in scalars.items() if name.endswith("_skipped"))
    fields = [
        f"{phase.name:<16}",
        f"alpha {alpha:.3f}",
        f"kimg {images_seen / 1000:.1f}",
        f"{scalars['speed/images_per_second']:.1f} img/s",
        f"{scalars['speed/seconds_per_kimg']:.1f} s/kimg",
        f"ETA {format_duration(eta)}",
        f"D {scalars['loss/discriminator']:.3f}",
    ]
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
