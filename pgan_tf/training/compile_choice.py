"""The phases that XLA compiles on GPUs, with `--jit_compile=auto`: those that win by it.

Compiling takes a phase from half a minute to minutes, once, and saves some milliseconds of every
step. The short phases of a trial are over before that pays.
"""

import dataclasses
import json
import statistics
from collections.abc import Mapping
from pathlib import Path

from pgan_tf.config import TrainConfig
from pgan_tf.config.options import MIN_RESOLUTION, log2
from pgan_tf.config.phases import Phase
from pgan_tf.step.compilation import Compilation, choose_compilation
from pgan_tf.training.prepare import PreparedRun
from tfrecords_tools.files import whole_file
from tfrecords_tools.untrusted.json_file import read_object

# Both grow with the number of operations, and so with the number of resolutions that take part.
# An H200 took 28 s at 4x4, 51 s at 32x32, 139 s at 1024x1024; a step lost 8, 20 and 71 ms
# (docs/development/gpu.md).
_COMPILE_SECONDS = 14.0
_SAVED_SECONDS = 0.007


@dataclasses.dataclass(frozen=True)
class PhaseRecord:
    """The choice for a phase of a run.

    Attributes:
      compiled: whether XLA compiles it.
      seconds: duration of its first call, with the compilation; None before its end.
    """

    compiled: bool
    seconds: float | None = None


class CompileChoice:
    """The choice for each phase of a run, remembered in its directory.

    A phase that is continued is computed as before. Compilations that took longer or shorter than
    expected, on a slower host or with a cache of compiled programs, change later choices.

    Args:
      config: of the run.
      path: the file that remembers the choices; None for those that depend on the configuration
        alone, as they must where several workers, or repetitions to the bit, choose alike.
    """

    def __init__(self, config: TrainConfig, path: Path | None):
        run = dataclasses.replace(config.run, jit_compile="off")
        self._compiled, self._plain = config, dataclasses.replace(config, run=run)
        self._path = path
        self._records = _read(path) if path else {}

    def config_for(self, phase: Phase) -> TrainConfig:
        """Return the configuration for the steps of a phase: the run's, or that without XLA."""
        record = self._records.get(phase.name)
        if record is None:
            record = PhaseRecord(pays_off(phase, slowness=self._slowness()))
            self._remember(phase, record)
        return self._compiled if record.compiled else self._plain

    def note_preparation(self, phase: Phase, seconds: float) -> None:
        """Note how long the first call of a phase took."""
        self._remember(phase, dataclasses.replace(self._records[phase.name], seconds=seconds))

    def _slowness(self) -> float:
        """Return the median ratio of the seconds that compilations took to those expected."""
        ratios = [
            record.seconds / _compile_seconds(int(name.partition("x")[0]))
            for name, record in self._records.items()
            if record.compiled and record.seconds is not None
        ]
        return statistics.median(ratios) if self._path and ratios else 1.0

    def _remember(self, phase: Phase, record: PhaseRecord) -> None:
        self._records[phase.name] = record
        if self._path:
            records = {name: dataclasses.asdict(record) for name, record in self._records.items()}
            with whole_file(self._path) as temporary:
                temporary.write_text(json.dumps(records, indent=2) + "\n")


class NoChoice:
    """The choice of a run that compiles every phase or none: by its flags, or without a GPU."""

    def __init__(self, config: TrainConfig):
        """Take the run's configuration."""
        self._config = config

    def config_for(self, phase: Phase) -> TrainConfig:
        """Return the run's configuration."""
        return self._config

    def note_preparation(self, phase: Phase, seconds: float) -> None:
        """Do nothing."""


def make_compile_choice(run: PreparedRun, path: Path) -> CompileChoice | NoChoice:
    """Return the choice for the phases of a run.

    Args:
      run: the run.
      path: the file in the run directory that remembers it.
    """
    config = run.config
    compilation = choose_compilation(config, replicas=run.replicas)
    if config.run.jit_compile != "auto" or compilation is Compilation.NONE:
        return NoChoice(config)
    is_repeatable = config.run.deterministic or run.cluster.count > 1
    return CompileChoice(config, None if is_repeatable else path)


def pays_off(phase: Phase, *, slowness: float = 1.0) -> bool:
    """Return whether compiling a phase takes less time than its steps save.

    Args:
      phase: of the schedule.
      slowness: factor on the seconds that compiling is expected to take.
    """
    steps = (phase.end - phase.start) / phase.batch_size
    saved = steps * _SAVED_SECONDS * _resolutions(phase.resolution)
    return saved > slowness * _compile_seconds(phase.resolution)


def _compile_seconds(resolution: int) -> float:
    return _COMPILE_SECONDS * (1 + _resolutions(resolution))


def _resolutions(resolution: int) -> int:
    return log2(resolution) - log2(MIN_RESOLUTION) + 1


def _read(path: Path) -> dict[str, PhaseRecord]:
    """Return what is remembered; nothing if the file is missing, damaged or of another kind."""
    try:
        values = read_object(path)
        return {name: _record(value) for name, value in values.items() if _is_phase(name)}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}


def _record(value: Mapping[str, object]) -> PhaseRecord:
    compiled, seconds = value["compiled"], value["seconds"]
    if not isinstance(compiled, bool):
        raise TypeError(f"compiled must be a bool. Received: {compiled}")
    if seconds is not None and not (isinstance(seconds, float | int) and 0 <= seconds < 1e6):
        raise ValueError(f"seconds must be from 0 to 1e6. Received: {seconds}")
    return PhaseRecord(compiled, None if seconds is None else float(seconds))


def _is_phase(name: str) -> bool:
    side, _, rest = name.partition("x")
    return int(side) >= MIN_RESOLUTION and rest in (f"{side} fade", f"{side} stabilize")
