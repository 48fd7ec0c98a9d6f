"""Speed of one iteration of training, and the fraction of the machine's roof that it reaches.

    python benchmarks/train_step.py --resolution=32 --network_resolution=32 --batch_size=16 \
        --fmap_base=1024 --fmap_max=128 --alpha=0.5 --precision=float32 --iterations=10

An iteration is what `pgan-train` runs: a discriminator step (`--loss`, by default WGAN-GP,
differentiated twice), the moving average, a generator step, both Adam updates, on RGB.
`--steps_per_call` iterations are one call. A measurement is of `--calls_in_flight` calls that are
started one after the other, with the transfer of their batches, until the last result is there;
with `--penalty_interval`, of whole intervals. Prints one line of JSON last:

    images_per_second, seconds_per_iteration   by the median measurement
    host_seconds_per_call   until a call returns, with the transfer of its batches; the median. On a
                    GPU the host is free before the call has ended
    tflops          multiplications and additions a second, of the count below
    roof_tflops     the best that a large convolution or matrix product reaches in this process,
                    in the same precision, measured in turns with the iterations
    fraction_of_roof  of the median measurement, against that best
    fraction_of_median_roof  of the median measurement, against the median of the fastest kind of
                    product: a fair comparison where other work disturbs the machine
    peak_memory_mb  of tensors on the GPU after the first call, which tries kernels; on CPUs of this
                    process
    trace_seconds   of building the graph
    first_seconds   of the first call after that, in which XLA compiles
    kernels         with --kernels, on a GPU: those that take longest in an iteration, as
                    milliseconds, launches, name and XLA's operation; and of all of them together,
                    gpu_milliseconds and launches. Far less than the iteration takes means that the
                    host can't start them fast enough

The count: two operations for each multiply-add of the convolutions and dense layers
(`pgan_tf.networks.cost`), as sums over the kernel, those that resample as 4x4 kernels at the lower
resolution, however they are computed: the fraction may be above 1 where that saves multiplications.
With G and D a forward pass of each network, an iteration of WGAN-GP is 4 G + 14 D: three forward
passes of D, one back to the mixed images, two back through each of these four, one of G for the
fakes; then 3 G and 2 D for the generator. Nothing else (activations, normalization, Adam,
`--augment`) counts.
"""

import argparse
import functools
import itertools
import json
import math
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import kernels
import numpy as np
import tensorflow as tf

from pgan_tf.config import (
    AugmentConfig,
    LossConfig,
    NetworkConfig,
    RunConfig,
    ScheduleConfig,
    TrainConfig,
)
from pgan_tf.config.augment import AUGMENTATIONS
from pgan_tf.config.loss import LOSSES
from pgan_tf.config.phases import Phase, Step
from pgan_tf.config.run import JIT_COMPILE
from pgan_tf.data.batches import Batch
from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.distribution.xla_environment import set_up_xla
from pgan_tf.networks.cost import step_multiplications
from pgan_tf.step.inputs import StepInputs
from pgan_tf.step.microbatches import one_thread_per_operation, set_up_threads
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.feeding import to_replicas
from pgan_tf.training.prepare import set_up_tensorflow
from tfrecords_tools.host import core_count

PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "mixed_bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
    "mixed_float16": "mixed_float16",
}
_ROOF_TURNS = 10
_CALLS_IN_FLIGHT = 30
# A GPU reaches its highest speed in products of this size, and starting them takes no time if one
# program computes many.
_GPU_PRODUCT = 8192
_GPU_REPEATS = 16


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=32, help="the stage's")
    parser.add_argument("--network_resolution", type=int, help="final; default: the stage's")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--fmap_base", type=int, default=8192)
    parser.add_argument("--fmap_max", type=int, default=512)
    parser.add_argument("--alpha", type=float, default=0.5, help="1: the stage has faded in")
    parser.add_argument("--loss", choices=LOSSES, default="wgan_gp")
    parser.add_argument("--penalty_interval", type=int, default=1)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--iterations", type=int, default=10, help="measurements")
    parser.add_argument("--warm_up", type=int, default=2, help="calls that are not measured")
    parser.add_argument(
        "--calls_in_flight",
        type=int,
        help=f"calls of a measurement; default: {_CALLS_IN_FLIGHT} on GPUs, 1 on CPUs",
    )
    parser.add_argument("--steps_per_call", type=int, default=1)
    parser.add_argument("--augment", choices=AUGMENTATIONS, default="none")
    parser.add_argument("--microbatches", default="auto", help="auto, off, or a number")
    parser.add_argument("--jit_compile", choices=JIT_COMPILE, default="auto")
    parser.add_argument("--xla_cache_dir", default="", help="without one, compiling is measured")
    parser.add_argument("--kernels", type=int, default=0, help="kernels to list, on a GPU")
    given = parser.parse_args()
    if given.penalty_interval > 1 and given.steps_per_call > 1:
        parser.error("--penalty_interval can't be measured in calls of several steps")
    set_up_xla(given.xla_cache_dir)
    network = NetworkConfig(
        resolution=given.network_resolution or given.resolution,
        fmap_base=given.fmap_base,
        fmap_max=given.fmap_max,
    )
    steps = given.steps_per_call
    run_config = RunConfig(
        precision=PRECISIONS[given.precision],
        steps_per_call=steps,
        microbatches=_microbatches(given.microbatches),
        jit_compile=given.jit_compile,
    )
    schedule = ScheduleConfig(start_resolution=given.resolution, batch_size=given.batch_size)
    loss = LossConfig(loss=given.loss, penalty_interval=given.penalty_interval)
    augment = AugmentConfig(augment=given.augment)
    config = TrainConfig(
        network=network, schedule=schedule, loss=loss, augment=augment, run=run_config
    )
    fading = given.alpha < 1 and given.resolution > 4
    set_up_threads(config)
    set_up_tensorflow(config)
    step = BenchmarkStep(
        config,
        given.resolution,
        given.batch_size,
        given.alpha,
        fading=fading,
        steps_per_call=steps,
    )
    trace_seconds = timed(step.trace)
    first = timed(step.run)
    for _ in range(max(given.warm_up, step.cycle - 1)):
        step.run()
    reset_peak_memory()
    products = large_products(config.run.precision)
    rates = [[measure_rate(product)] for product in products]
    calls = given.calls_in_flight or (_CALLS_IN_FLIGHT if gpus() else 1)
    calls = -(-calls // step.cycle) * step.cycle
    times, host_times = [], []
    for iteration in range(given.iterations):
        seconds, until_return = measure_calls(step.start, calls)
        times.append(seconds / calls)
        host_times += until_return
        if iteration % -(-given.iterations // _ROOF_TURNS) == 0:
            for product, measured in zip(products, rates, strict=True):
                measured.append(measure_rate(product))
    roof, median_roof = max(map(max, rates)), max(map(statistics.median, rates))
    seconds = statistics.median(times) / steps
    operations = 2 * step_multiplications(config, given.resolution, fading=fading)
    tflops = operations * given.batch_size / seconds / 1e12
    result = {
        "benchmark": "train_step",
        **{name: value for name, value in vars(given).items() if value is not None},
        "calls_in_flight": calls,
        "cores": core_count(),
        "device": device_name(),
        "images_per_second": given.batch_size / seconds,
        "seconds_per_iteration": seconds,
        "host_seconds_per_call": statistics.median(host_times),
        "tflops": tflops,
        "roof_tflops": roof / 1e12,
        "fraction_of_roof": tflops * 1e12 / roof,
        "fraction_of_median_roof": tflops * 1e12 / median_roof,
        "peak_memory_mb": peak_memory() / 1e6,
        "trace_seconds": trace_seconds,
        "first_seconds": first,
        **(traced_kernels(step.run, given.kernels, steps) if given.kernels and gpus() else {}),
    }
    print(json.dumps(rounded(result)))


def traced_kernels(run: Callable[[], None], count: int, steps: int) -> dict[str, Any]:
    """Return what a call's kernels take on the GPU, for each of its iterations."""
    traced = kernels.trace(run)
    return {
        "gpu_milliseconds": sum(kernel.milliseconds for kernel in traced) / steps,
        "launches": sum(kernel.launches for kernel in traced) / steps,
        "kernels": [list(kernel) for kernel in traced[:count]],
    }


def rounded(value: Any) -> Any:
    """Return the numbers in a value to four digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _microbatches(text: str) -> int | Literal["auto", "off"]:
    return text if text in ("auto", "off") else int(text)  # type: ignore[return-value]


class BenchmarkStep:
    """Calls of the training step on batches of noise, of its kinds in turn.

    Attributes:
      cycle: number of calls after which the kinds repeat.
    """

    def __init__(
        self,
        config: TrainConfig,
        resolution: int,
        batch_size: int,
        alpha: float,
        *,
        fading: bool,
        steps_per_call: int = 1,
    ):
        self._strategy = make_strategy("one_device")
        self._state = TrainState(config, self._strategy)
        self._train_steps = {
            kind: TrainStep(
                self._state,
                config,
                self._strategy,
                resolution=resolution,
                fading=fading,
                kind=kind,
            )
            for kind in dict.fromkeys(config.step_kinds)
        }
        self.cycle = len(config.step_kinds)
        self._kinds = itertools.cycle(config.step_kinds)
        random = np.random.default_rng(0)
        shape = (batch_size, config.network.channels, resolution, resolution)
        images = random.integers(0, 256, shape, np.uint8)
        no_labels = np.zeros((batch_size, 0), np.float32)
        phase = Phase(0, resolution, fading, 0, 10**9, 10**9 if fading else 0, batch_size, 0.001)
        step = Step(phase, 0, alpha, phase.learning_rate)
        self._call = [(step, Batch(images, no_labels, no_labels))] * steps_per_call

    def trace(self) -> None:
        """Build the graphs."""
        for train_step in self._train_steps.values():
            train_step.graph.get_concrete_function(self._inputs())

    def start(self) -> tf.Tensor:
        """Start a call; reading its result waits for its end."""
        return self._train_steps[next(self._kinds)](self._inputs()).tensor

    def run(self) -> None:
        """Take a call, and wait for its end."""
        self.start().numpy()

    def _inputs(self) -> StepInputs:
        return to_replicas(self._strategy, self._state, self._call, steps_per_call=len(self._call))


def measure_calls(start: Callable[[], tf.Tensor], count: int) -> tuple[float, list[float]]:
    """Return the seconds of some calls together, and those until each returned."""
    started, until_return = time.perf_counter(), []
    for _ in range(count):
        asked = time.perf_counter()
        result = start()
        until_return.append(time.perf_counter() - asked)
    result.numpy()
    return time.perf_counter() - started, until_return


class Product(NamedTuple):
    """A computation that waits for its end, and the number of its operations."""

    operations: int
    compute: Callable[[], object]


def large_products(precision: str) -> list[Product]:
    """Return matrix products and convolutions large enough to reach their highest speed.

    Where operations have one thread each, as many of one kind at a time as there are cores.
    """
    dtype = tf.as_dtype(precision.removeprefix("mixed_"))
    if gpus():
        return [repeated_product(_GPU_PRODUCT, _GPU_REPEATS, dtype)]
    at_a_time = core_count() if one_thread_per_operation() else 1

    def product(operations: int, compute: Callable, *shapes: tuple[int, ...]) -> Product:
        args = [
            [tf.cast(tf.random.normal(shape), dtype) for shape in shapes] for _ in range(at_a_time)
        ]
        graph = tf.function(lambda: [tf.reduce_max(compute(*each)) for each in args])
        graph()
        return Product(at_a_time * operations, lambda: [each.numpy() for each in graph()])

    convolve = functools.partial(tf.nn.conv2d, strides=1, padding="SAME")
    return [
        *(product(2 * size**3, tf.matmul, (size, size), (size, size)) for size in (2048, 3072)),
        *(
            product(
                2 * 9 * batch * side**2 * features**2,
                convolve,
                (batch, side, side, features),
                (3, 3, features, features),
            )
            for batch, side, features in ((16, 64, 128), (32, 32, 256))
        ),
    ]


def repeated_product(size: int, repeats: int, dtype: tf.DType) -> Product:
    """Return products of square matrices, each of the result of the one before, as one program."""
    # The result keeps its size: each of its numbers is a sum of `size` random ones.
    matrices = [
        tf.cast(tf.random.normal((size, size), stddev=1 / math.sqrt(size)), dtype) for _ in range(2)
    ]

    @functools.partial(tf.function, autograph=False, jit_compile=True)
    def multiply(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        _, x = tf.while_loop(
            lambda index, _: index < repeats, lambda index, x: (index + 1, tf.matmul(x, y)), (0, x)
        )
        return tf.reduce_max(x)

    multiply(*matrices)
    return Product(2 * size**3 * repeats, lambda: multiply(*matrices).numpy())


def measure_rate(product: Product) -> float:
    """Return operations a second."""
    return product.operations / timed(product.compute)


def timed(run: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def device_name() -> str:
    """Return the name of the device: the first GPU, or the CPU."""
    if not gpus():
        return "CPU"
    return tf.config.experimental.get_device_details(gpus()[0]).get("device_name", "GPU")


def gpus() -> list:
    """Return the GPUs that TensorFlow sees."""
    return tf.config.list_physical_devices("GPU")


def reset_peak_memory() -> None:
    """Count the peak of the GPU's tensors from here on."""
    if gpus():
        tf.config.experimental.reset_memory_stats("GPU:0")


def peak_memory() -> float:
    """Return the peak bytes of tensors on the GPU, or of this process."""
    if gpus():
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
