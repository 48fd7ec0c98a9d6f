"""The section about the run: directory, intervals, devices."""

import dataclasses
from typing import Literal

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
TF32 = ("on", "off")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The run: its directory, the intervals of what it writes, the devices.

    Raises:
      ValueError: a value is out of range.
    """

    run_dir: str = option(
        "",
        "The run directory: made if it is new, continued if it holds a run. Required.",
        adjustable=True,
        remembered=False,
    )
    init_from: str = option(
        "",
        "Begin a new run with the networks of another: its run directory, or a directory of "
        "pgan-import. Training goes on at the resolution that they had reached, unless "
        "--start_resolution is given. The classes may be others: those of equal names are taken "
        "over.",
    )
    seed: int = option(1, "Seed of the weights, the noise and the order of images.")
    deterministic: bool = option(
        False, "Make runs repeatable to the bit by deterministic kernels, which are slower."
    )
    precision: str = option(
        "float32",
        "Type of the numbers that the networks compute with (Keras's dtype policy). mixed_float16 "
        "needs --pixel_norm_epsilon=0.0001.",
        choices=PRECISIONS,
    )
    tf32: str = option(
        "on",
        "Let GPUs compute float32 products in TF32, which is faster and rounds to 10 bits. No "
        "effect on CPUs and on older GPUs.",
        choices=TF32,
        adjustable=True,
    )
    jit_compile: str = option(
        "auto",
        "Compile training steps with XLA. auto: on GPUs, not on CPUs.",
        choices=JIT_COMPILE,
        adjustable=True,
    )
    xla_cache_dir: str = option(
        "auto",
        "Directory for what XLA compiles on GPUs, so that the same phase is not compiled again; up "
        "to 2 GiB. auto: pgan_tf/xla in your cache directory; empty: none.",
        adjustable=True,
        remembered=False,
    )
    distribution: str = option(
        "auto",
        "Devices to train on. auto: every visible GPU or logical CPU, or else the CPU; one_device: "
        "the first GPU or the CPU; mirrored: a replica on every GPU or logical CPU; multi_worker: "
        "the devices of every process that TF_CONFIG names.",
        choices=DISTRIBUTIONS,
        adjustable=True,
    )
    logical_cpus: int = option(
        0,
        "Split the CPU into this many logical devices, to try --distribution=mirrored without "
        "GPUs; 0: do not split it.",
        adjustable=True,
    )
    microbatches: int | Literal["auto", "off"] = option(
        "auto",
        "auto: on CPUs of two to four cores, split each batch into one microbatch for each core if "
        "its size allows. A number: split it into up to this many microbatches, computed one after "
        "the other, which take less memory. The results are the same up to rounding.",
        adjustable=True,
    )
    steps_per_call: int | Literal["auto"] = option(
        "auto",
        "Most steps in one call of the training graph. More steps a call save time between small "
        "steps; the results stay the same. auto: on GPUs 8 up to 32x32, falling to 1 from 256x256 "
        "on; on CPUs 1.",
        adjustable=True,
    )
    tick_kimg: float = option(
        1.0, "Thousands of images between two reports of progress.", adjustable=True
    )
    sample_kimg: float = option(
        20.0, "Thousands of images between two grids of fakes.", adjustable=True
    )
    checkpoint_kimg: float = option(
        20.0, "Thousands of images between two checkpoints of the training state.", adjustable=True
    )
    network_kimg: float = option(
        200.0,
        "Thousands of images between two saved EMA generators, which are also saved at the end of "
        "each stage.",
        adjustable=True,
    )
    keep_checkpoints: int = option(
        3, "Number of checkpoints to keep; older ones are deleted.", adjustable=True
    )
    max_skipped_updates: int = option(
        50,
        "After this many updates in a row with gradients that are not finite, return to the last "
        "checkpoint and continue with other noise, once; 0: never.",
        adjustable=True,
    )
    diagnose: bool = option(
        True,
        "Look for signs of trouble, such as overfitting and collapse, and say what to change.",
        adjustable=True,
    )
    wandb: bool = option(
        False,
        "Send what TensorBoard shows to Weights & Biases, too. Needs the extra [wandb].",
        adjustable=True,
    )
    histograms: bool = option(
        False,
        "Write histograms of weights and gradients to TensorBoard with each grid.",
        adjustable=True,
    )
    profile: str = option(
        "",
        "Trace steps START:END of this process with TensorFlow's profiler. Steps are counted from "
        "1 and END is included; the first step of a stage is slow. Default: none.",
        adjustable=True,
        remembered=False,
    )

    def __post_init__(self) -> None:
        for name in ("tick_kimg", "sample_kimg", "checkpoint_kimg", "network_kimg"):
            require_positive(name, getattr(self, name))
        require_at_least("logical_cpus", self.logical_cpus, 0)
        if self.steps_per_call != "auto":
            require_at_least("steps_per_call", self.steps_per_call, 1)
        require_at_least("keep_checkpoints", self.keep_checkpoints, 1)
        require_at_least("max_skipped_updates", self.max_skipped_updates, 0)
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be from 0 to 2147483647. Received: {self.seed}")
        require_choice("precision", self.precision, PRECISIONS)
        require_choice("tf32", self.tf32, TF32)
        require_choice("jit_compile", self.jit_compile, JIT_COMPILE)
        require_choice("distribution", self.distribution, DISTRIBUTIONS)
        if isinstance(self.microbatches, int):
            require_at_least("microbatches", self.microbatches, 1)
        if self.distribution == "multi_worker" and self.logical_cpus:
            raise ValueError(
                "logical_cpus must be 0 with --distribution=multi_worker, whose replicas are "
                f"processes. Received: {self.logical_cpus}"
            )
        step_range("profile", self.profile)

    @property
    def most_microbatches(self) -> int:
        """The most microbatches to compute one after the other; 1 computes none so."""
        return self.microbatches if isinstance(self.microbatches, int) else 1

    @property
    def profile_steps(self) -> tuple[int, int] | None:
        """The first and the last step that each process traces; None to trace none."""
        return step_range("profile", self.profile)
