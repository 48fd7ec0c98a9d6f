"""The kernels that an NVIDIA GPU spends its time in, from a trace of TensorFlow's profiler."""

import collections
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf


class Kernel(NamedTuple):
    """The cost of one operation of a program, in each call.

    Attributes:
      milliseconds: of all its launches.
      launches: a call.
      name: of the kernel.
      operation: XLA's name of the operation that launched it; empty without XLA.
    """

    milliseconds: float
    launches: float
    name: str
    operation: str


def trace(run: Callable[[], None], calls: int = 3) -> list[Kernel]:
    """Return the kernels of a call, those that take longest first.

    XLA starts kernels one by one while it is traced, whatever it captures otherwise.

    Args:
      run: takes one call and waits for its end. It should have been called before.
      calls: to trace; the result is the mean.
    """
    with tempfile.TemporaryDirectory() as directory:
        tf.profiler.experimental.start(directory)
        for _ in range(calls):
            run()
        tf.profiler.experimental.stop()
        totals: dict[tuple[str, str], list[float]] = collections.defaultdict(lambda: [0, 0.0])
        for name, operation, milliseconds in _events(Path(directory)):
            total = totals[name, operation]
            total[0] += 1
            total[1] += milliseconds
    kernels = [
        Kernel(milliseconds / calls, launches / calls, name, operation)
        for (name, operation), (launches, milliseconds) in totals.items()
    ]
    return sorted(kernels, reverse=True)


def _events(directory: Path) -> Iterator[tuple[str, str, float]]:
    """Yield the kernel, the operation and the milliseconds of everything that ran on a GPU."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    for file in directory.rglob("*.xplane.pb"):
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
        for plane in space.planes:
            if not plane.name.startswith("/device:GPU"):
                continue
            statistics = plane.stat_metadata
            for line in plane.lines:
                for event in line.events:
                    operation = ""
                    for value in event.stats:
                        if statistics[value.metadata_id].name == "hlo_op":
                            operation = value.str_value or statistics[value.ref_value].name
                    name = plane.event_metadata[event.metadata_id].name
                    yield name, operation, event.duration_ps / 1e9
