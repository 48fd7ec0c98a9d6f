"""Where a run writes, how often, on which devices."""

import dataclasses

from pgan_tf.config.options import (
    option,
    require_at_least,
    require_choice,
    require_positive,
    step_range,
)

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
DISTRIBUTIONS = ("auto", "one_device", "mirrored", "multi_worker")
JIT_COMPILE = ("auto", "on", "off")
MICROBATCHES = ("auto", "off")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Where a run writes, how often, on which devices.

    Raises:
      ValueError: a value is out of its range.
    """

    run_dir: str = option("", "The run directory: made if new, continued if it exists. Required.",
                          adjustable=True, remembered=False)  # fmt: skip
    init_from: str = option(
        "",
        "A run directory, or one of pgan-import, whose networks a new run begins with, at their "
        "resolution unless another is given.",
    )
    seed: int = option(1, "Seed of the weights, the noise and the order of images.")
    deterministic: bool = option(
        False, "Bit-identical runs: deterministic kernels, at some cost in speed."
    )
    precision: str = option("float32", "Keras dtype policy of the networks.", choices=PRECISIONS)
    jit_compile: str = option(
        "auto",
        "Compile both networks' gradients with XLA: auto does on GPUs, not on CPUs.",
        choices=JIT_COMPILE,
        adjustable=True,
    )
    distribution: str = option(
        "auto",
        "Devices: auto takes every visible GPU or logical CPU, else the CPU; multi_worker those of "
        "every process that TF_CONFIG names.",
        choices=DISTRIBUTIONS,
        adjustable=True,
    )
    logical_cpus: int = option(
        0, "Split the CPU into this many logical devices, to try mirrored out.", adjustable=True
    )
    microbatches: str = option(
        "auto",
        "On CPUs of up to four cores, auto computes a part of each batch on every core, each "
        "operation in one thread, where batches can be split so. What is learned stays the same, "
        "up to rounding.",
        choices=MICROBATCHES,
        adjustable=True,
    )
    steps_per_call: int = option(
        1,
        "Train up to this many steps in one call of a graph, which saves the host work between "
        "small steps. What is learned and reported stays the same.",
        adjustable=True,
    )
    tick_kimg: float = option(1.0, "Report progress this often.", adjustable=True)
    sample_kimg: float = option(20.0, "Draw a grid of fakes this often.", adjustable=True)
    checkpoint_kimg: float = option(20.0, "Save the training state this often.", adjustable=True)
    network_kimg: float = option(
        200.0,
        "Save the EMA generator this often; it is also saved at each stage's end.",
        adjustable=True,
    )
    keep_checkpoints: int = option(3, "Checkpoints kept; older ones go.", adjustable=True)
    max_skipped_updates: int = option(
        50,
        "After this many updates in a row that are not finite, go back to the last checkpoint and "
        "on with other noise, once. 0 never does.",
        adjustable=True,
    )
    histograms: bool = option(
        False,
        "Write histograms of weights and gradients to TensorBoard with each grid.",
        adjustable=True,
    )
    profile: str = option(
        "",
        "START:END: trace these steps of this process with TensorFlow's profiler, counted from 1, "
        "END included. A stage's first step is slow.",
        adjustable=True,
        remembered=False,
    )

    def __post_init__(self) -> None:
        for name in ("tick_kimg", "sample_kimg", "checkpoint_kimg", "network_kimg"):
            require_positive(name, getattr(self, name))
        require_at_least("logical_cpus", self.logical_cpus, 0)
        require_at_least("steps_per_call", self.steps_per_call, 1)
        require_at_least("keep_checkpoints", self.keep_checkpoints, 1)
        require_at_least("max_skipped_updates", self.max_skipped_updates, 0)
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be from 0 to 2147483647. Received: {self.seed}")
        require_choice("precision", self.precision, PRECISIONS)
        require_choice("jit_compile", self.jit_compile, JIT_COMPILE)
        require_choice("distribution", self.distribution, DISTRIBUTIONS)
        require_choice("microbatches", self.microbatches, MICROBATCHES)
        if self.distribution == "multi_worker" and self.logical_cpus:
            raise ValueError(
                "logical_cpus must be 0 with --distribution=multi_worker, whose replicas are "
                f"processes. Received: {self.logical_cpus}"
            )
        step_range("profile", self.profile)

    @property
    def profile_steps(self) -> tuple[int, int] | None:
        """The first and the last step of each process to trace; None to trace none."""
        return step_range("profile", self.profile)
