"""What a training run is told: frozen dataclasses, validated on construction.

Standard library only, so that a configuration can be read, printed and refused before TensorFlow is
imported. Every field made by `option` is also a command-line flag of `pgan-train` (see `flags.py`).
Anything counted in kimg (thousands of real images shown to the discriminator) is a float.
"""

import dataclasses
from collections.abc import Mapping

from pgan_tf.eval_config import EvalConfig
from pgan_tf.options import (
    MIN_RESOLUTION,
    log2,
    option,
    require_at_least,
    require_choice,
    require_positive,
    require_resolution,
    step_range,
)

MAX_FMAP_DECAY = 8.0

PRECISIONS = ("float32", "mixed_bfloat16")
DISTRIBUTIONS = ("auto", "one_device", "mirrored", "multi_worker")
LOSSES = ("wgan_gp",)
PENALTY_RESOLUTIONS = ("final", "stage")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images are trained on, and how they are shown."""

    data_dir: str = option("", "The pyramid: a directory made by pgan-prepare-tfrecords or the "
                           "original tool, or its URL (gs://bucket/name), from which it is "
                           "streamed. Required.", adjustable=True)  # fmt: skip
    use_labels: bool = option(True, "Condition on the pyramid's labels (AC-GAN) where it has them.")
    mirror_augment: bool = option(False, "Mirror each real image left-right with probability 1/2.")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The shape of both networks (appendix A of the paper).

    `channels` and `label_size` come from the data, never from a flag; `resolution` is the data's
    where the flag is not given.

    Raises:
      ValueError: a value is out of its range.
    """

    resolution: int | None = option(
        None, "Final resolution, a power of two from 4. Default: the data's."
    )
    fmap_base: int = option(8192, "Feature maps at stage s: min(fmap_base / 2^(s * fmap_decay), "
                            "fmap_max).")  # fmt: skip
    fmap_max: int = option(512, "Most feature maps of any layer.")
    fmap_decay: float = option(1.0, "How fast feature maps fall with resolution.")
    latent_size: int | None = option(
        None, "Components of a latent vector. Default: the feature maps of stage 0."
    )
    fused_scale: bool = option(
        True,
        "Order in the discriminator: convolve, downscale, activate (the TensorFlow version); "
        "off: convolve, activate, downscale (the Theano version).",
    )
    fuse_resampling: bool = option(
        True,
        "Compute a convolution and its resampling as one strided convolution. The same numbers up "
        "to rounding; which is faster depends on the device.",
        adjustable=True,
    )
    stddev_group_size: int = option(4, "Samples in a group of the minibatch standard deviation.")
    channels: int = 3
    label_size: int = 0

    def __post_init__(self) -> None:
        if self.resolution is not None:
            require_resolution("resolution", self.resolution)
        for name in ("fmap_base", "fmap_max", "stddev_group_size"):
            require_at_least(name, getattr(self, name), 1)
        if self.latent_size is not None:
            require_at_least("latent_size", self.latent_size, 1)
        require_at_least("fmap_decay", self.fmap_decay, 0)
        if self.fmap_decay > MAX_FMAP_DECAY:
            raise ValueError(
                f"fmap_decay must be at most {MAX_FMAP_DECAY}. Received: {self.fmap_decay}"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3. Received: {self.channels}")
        require_at_least("label_size", self.label_size, 0)
        if self.features(self.resolution_log2 - 1) < 1:
            raise ValueError(
                f"fmap_base must leave at least one feature map at {self.resolution}x"
                f"{self.resolution}. Received: {self.fmap_base}"
            )

    def features(self, stage: int) -> int:
        """Feature maps at `stage`: nf(s) = min(floor(fmap_base / 2^(s * fmap_decay)), fmap_max)."""
        return min(int(self.fmap_base / 2.0 ** (stage * self.fmap_decay)), self.fmap_max)

    @property
    def resolution_log2(self) -> int:
        return log2(self.resolution or MIN_RESOLUTION)

    @property
    def resolved_latent_size(self) -> int:
        """Components of a latent vector: `latent_size`, or nf(0) where it is not set."""
        return self.features(0) if self.latent_size is None else self.latent_size

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Every resolution the networks have layers for: 4, 8, ... up to the final one."""
        return tuple(2**r for r in range(log2(MIN_RESOLUTION), self.resolution_log2 + 1))


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """When each resolution is trained, with what batch and learning rate.

    Raises:
      ValueError: a value is out of its range.
    """

    start_resolution: int = option(4, "Resolution of the first stage, which has no fade.")
    stabilize_kimg: float = option(600.0, "Thousands of images each stage trains at alpha 1.")
    fade_kimg: float = option(600.0, "Thousands of images over which a new stage fades in.")
    total_kimg: float = option(
        15000.0, "Thousands of images in all; the last stage lasts until then.", adjustable=True
    )
    batch_size: int = option(16, "Global batch size where the table below says nothing.")
    batch_size_by_resolution: Mapping[int, int] = option({}, "Global batch sizes, as 4:128,8:128.")
    learning_rate: float = option(0.001, "Adam's learning rate where the table says nothing.")
    learning_rate_by_resolution: Mapping[int, float] = option(
        {}, "Learning rates, as 512:0.0015,1024:0.002."
    )

    def __post_init__(self) -> None:
        require_resolution("start_resolution", self.start_resolution)
        for name in ("stabilize_kimg", "fade_kimg"):
            require_at_least(name, getattr(self, name), 0)
        for name in ("total_kimg", "learning_rate"):
            require_positive(name, getattr(self, name))
        require_at_least("total_kimg", self.total_kimg, 0.001)
        require_at_least("batch_size", self.batch_size, 1)
        for resolution, batch_size in self.batch_size_by_resolution.items():
            require_resolution("batch_size_by_resolution", resolution)
            require_at_least(f"batch_size_by_resolution at {resolution}", batch_size, 1)
        for resolution, learning_rate in self.learning_rate_by_resolution.items():
            require_resolution("learning_rate_by_resolution", resolution)
            require_positive(f"learning_rate_by_resolution at {resolution}", learning_rate)

    def batch_size_at(self, resolution: int) -> int:
        """Images in a global batch at `resolution`."""
        return self.batch_size_by_resolution.get(resolution, self.batch_size)

    def learning_rate_at(self, resolution: int) -> float:
        """Adam's learning rate at `resolution`."""
        return self.learning_rate_by_resolution.get(resolution, self.learning_rate)


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What the networks minimise: WGAN-GP with drift (section 4 and appendix A.1), AC-GAN labels.

    Raises:
      ValueError: a value is out of its range.
    """

    loss: str = option("wgan_gp", "The adversarial loss.", choices=LOSSES)
    gradient_penalty_weight: float = option(10.0, "Lambda of the gradient penalty.")
    gradient_penalty_target: float = option(1.0, "Gamma: the gradient norm aimed at.")
    gradient_penalty_resolution: str = option(
        "final",
        "Where the gradient norm is taken: at the final resolution, as the original does, or at "
        "the stage's own.",
        choices=PENALTY_RESOLUTIONS,
    )
    drift_weight: float = option(0.001, "Weight of the squared scores of reals.")
    label_weight: float = option(1.0, "Weight of the AC-GAN label loss in both networks.")

    def __post_init__(self) -> None:
        for name in ("gradient_penalty_weight", "drift_weight", "label_weight"):
            require_at_least(name, getattr(self, name), 0)
        require_positive("gradient_penalty_target", self.gradient_penalty_target)
        require_choice("loss", self.loss, LOSSES)
        require_choice(
            "gradient_penalty_resolution", self.gradient_penalty_resolution, PENALTY_RESOLUTIONS
        )


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam for both networks, and the moving average of the generator (appendix A.1).

    Raises:
      ValueError: a value is out of its range.
    """

    adam_beta1: float = option(0.0, "Adam's decay of the first moment.")
    adam_beta2: float = option(0.99, "Adam's decay of the second moment.")
    adam_epsilon: float = option(1e-8, "Adam's epsilon.")
    reset_optimizer: bool = option(
        True, "Clear Adam's moments and step count when a fade begins and when it ends."
    )
    ema_decay: float = option(0.999, "Decay per step of the generator's moving average.")

    def __post_init__(self) -> None:
        for name in ("adam_beta1", "adam_beta2", "ema_decay"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(
                    f"{name} must be from 0 up to, not including, 1. Received: {value}"
                )
        require_positive("adam_epsilon", self.adam_epsilon)


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
        require_at_least("keep_checkpoints", self.keep_checkpoints, 1)
        require_at_least("max_skipped_updates", self.max_skipped_updates, 0)
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be from 0 to 2147483647. Received: {self.seed}")
        require_choice("precision", self.precision, PRECISIONS)
        require_choice("distribution", self.distribution, DISTRIBUTIONS)
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


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything `train` needs to know, in sections. Two equal configurations train alike.

    Raises:
      ValueError: sections contradict each other.
    """

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    schedule: ScheduleConfig = dataclasses.field(default_factory=ScheduleConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    run: RunConfig = dataclasses.field(default_factory=RunConfig)
    evaluation: EvalConfig = dataclasses.field(default_factory=EvalConfig)

    def __post_init__(self) -> None:
        start, final = self.schedule.start_resolution, self.network.resolution
        if final is not None and start > final:
            raise ValueError(
                f"start_resolution must not be above resolution {final}. Received: {start}"
            )

    @property
    def writes_within_a_kimg(self) -> bool:
        """Whether grids or generators are due at fractions of a kimg."""
        lengths = (
            self.run.sample_kimg,
            self.run.network_kimg,
            self.schedule.stabilize_kimg,
            self.schedule.fade_kimg,
            self.schedule.total_kimg,
        )
        return any(length % 1 for length in lengths)

    @property
    def reports_within_a_kimg(self) -> bool:
        """Whether anything is due at fractions of a kimg, ticks and metrics included."""
        evaluates = self.evaluation.metric_names and self.evaluation.eval_kimg % 1
        return self.writes_within_a_kimg or bool(self.run.tick_kimg % 1 or evaluates)

    def for_data(self, *, resolution: int, channels: int, label_size: int) -> "TrainConfig":
        """The same configuration with what only the data can tell filled in.

        Args:
          resolution: the pyramid's full resolution, used where no resolution was asked for.
          channels: 1 or 3.
          label_size: components of a label, 0 where there are none.

        Raises:
          ValueError: a resolution above the data's was asked for.
        """
        wanted = self.network.resolution or resolution
        if wanted > resolution:
            raise ValueError(
                f"resolution must not be above the data's {resolution}. Received: {wanted}"
            )
        network = dataclasses.replace(
            self.network,
            resolution=wanted,
            channels=channels,
            label_size=label_size if self.data.use_labels else 0,
        )
        return dataclasses.replace(self, network=network)
