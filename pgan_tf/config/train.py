"""The whole configuration of a training run: all sections in one object."""

import dataclasses
import math
from typing import NamedTuple

from pgan_tf.config.augment import AugmentConfig
from pgan_tf.config.data import DataConfig
from pgan_tf.config.evaluation import EvalConfig
from pgan_tf.config.loss import LossConfig
from pgan_tf.config.network import NetworkConfig
from pgan_tf.config.optimizer import OptimizerConfig
from pgan_tf.config.options import MIN_RESOLUTION, log2, require_default
from pgan_tf.config.phases import Schedule
from pgan_tf.config.run import RunConfig
from pgan_tf.config.schedule import ScheduleConfig
from pgan_tf.config.step_kinds import StepKind, step_kinds
from tfrecords_tools.shape import SQUARE, Base


def _title(title: str) -> dict[str, str]:
    """Return the metadata of a section: its title in `--help`."""
    return {"title": title}


class ValidationBatch(NamedTuple):
    """The held-out images that an iteration scores.

    Attributes:
      size: number of images; 0 if none are scored.
      shards: number of shards, of equal size, that they are dealt to. Each replica scores one; if
        there are more replicas, as many of them score each.
    """

    size: int
    shards: int


# The fraction of as many reals, for scores that cost a few percent of an iteration.
_VALIDATION_FRACTION = 4


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The configuration of a training run. Runs of equal configurations train alike.

    Raises:
      ValueError: sections contradict each other.
    """

    data: DataConfig = dataclasses.field(
        default_factory=DataConfig, metadata=_title("images: where they are, how they are shown")
    )
    network: NetworkConfig = dataclasses.field(
        default_factory=NetworkConfig, metadata=_title("shape of both networks")
    )
    schedule: ScheduleConfig = dataclasses.field(
        default_factory=ScheduleConfig,
        metadata=_title("resolutions, durations, batch sizes and learning rates"),
    )
    loss: LossConfig = dataclasses.field(
        default_factory=LossConfig, metadata=_title("losses, gradient penalties, labels")
    )
    augment: AugmentConfig = dataclasses.field(
        default_factory=AugmentConfig,
        metadata=_title("augmentation of what the discriminator sees, for small data sets"),
    )
    optimizer: OptimizerConfig = dataclasses.field(
        default_factory=OptimizerConfig,
        metadata=_title("Adam, updates, the generator's moving average"),
    )
    run: RunConfig = dataclasses.field(
        default_factory=RunConfig,
        metadata=_title("run directory, devices and precision, how often something is written"),
    )
    evaluation: EvalConfig = dataclasses.field(
        default_factory=EvalConfig, metadata=_title("metrics while training, the best network")
    )

    def __post_init__(self) -> None:
        start, final = self.schedule.start_resolution, self.network.resolution
        if final is not None and start > final:
            raise ValueError(
                f"start_resolution must not be above resolution {final}. Received: {start}"
            )
        if self.network.discriminator_noise and self.loss.loss != "lsgan":
            raise ValueError(
                "discriminator_noise must be 0 without --loss=lsgan, because its strength depends "
                "on scores between 0 and 1. Received: "
                f"{self.network.discriminator_noise}"
            )
        if self.optimizer.freeze_discriminator:
            self._check_freezing()
        if self.augment.adapts:
            self._check_signal()
        if not self.data.use_labels:
            for name in ("label_weight", "generator_label_weight"):
                require_default(self.loss, name, "with --nouse_labels")
        if self.data.dequantize and self.network.output_activation == "tanh":
            raise ValueError(
                "dequantize must be off with --output_activation=tanh, whose values stay below "
                "those of reals with noise. Received: true"
            )
        if self.run.most_microbatches > 1 and self.network.independent_groups(2**20) == 1:
            raise ValueError(
                "microbatches must be auto or off with batch norm, discriminator_noise, "
                "stddev_group_size=0 or minibatch_features=discrimination, for which each image "
                f"depends on its whole batch. Received: {self.run.microbatches}"
            )
        if self.run.jit_compile == "on" and self.network.normalizes_batches:
            raise ValueError(
                "jit_compile must be auto or off with batch norm, because XLA can't exchange "
                "statistics between replicas. Received: on"
            )

    def _check_signal(self) -> None:
        if not self.follows_validation:
            if not self.loss.has_signs:
                raise ValueError(
                    f"augment_signal must be auto or r_v with --loss={self.loss.loss}, whose "
                    "scores do not tell reals from fakes by their sign. Received: r_t"
                )
            return
        if not self.data.validation_images:
            chosen = f"--augment=ada and --loss={self.loss.loss}"
            if self.augment.augment_signal == "r_v":
                chosen = "--augment_signal=r_v"
            raise ValueError(
                f"validation_images must be above 0 with {chosen}, which tells overfitting by the "
                "scores of images that are held out, such as --validation_images=200. Received: 0"
            )
        if self.network.discriminator_norm == "batch":
            raise ValueError(
                "discriminator_norm must be none or layer with --augment_signal=r_v, because the "
                "averages of batch norm would learn from held-out images. Received: batch"
            )

    def _check_freezing(self) -> None:
        if not self.run.init_from:
            require_default(self.optimizer, "freeze_discriminator", "without --init_from")
        final = self.network.resolution
        if final is None:
            return
        if self.schedule.start_resolution < final:
            raise ValueError(
                "freeze_discriminator must be 0 in a run that grows, from "
                f"--start_resolution={self.schedule.start_resolution} to {final}, because new "
                f"layers have to learn. Received: {self.optimizer.freeze_discriminator}"
            )
        most = log2(final) - log2(MIN_RESOLUTION)
        if self.optimizer.freeze_discriminator > most:
            raise ValueError(
                f"freeze_discriminator must be at most {most}, the resolutions above 4x4. "
                f"Received: {self.optimizer.freeze_discriminator}"
            )

    def lay_out(self) -> Schedule:
        """Return the phases of the run; the networks' resolution and shape must be known."""
        return Schedule(self.schedule, self.network.final_resolution, self.network.base)

    @property
    def highest_in_discriminator(self) -> int:
        """The highest resolution of which the discriminator's layers are trained."""
        return self.network.final_resolution >> self.optimizer.freeze_discriminator

    def at_stage(self, resolution: int) -> "TrainConfig":
        """Return the configuration of a stage's steps: entries of tables in place of the tables."""
        return dataclasses.replace(
            self,
            loss=self.loss.at_stage(resolution),
            optimizer=self.optimizer.at_stage(resolution),
        )

    @property
    def resolved_augment_signal(self) -> str:
        """The measure of overfitting that augmentation follows, if it adapts: r_t or r_v."""
        if self.augment.augment_signal != "auto":
            return self.augment.augment_signal
        return "r_t" if self.loss.has_signs else "r_v"

    @property
    def follows_validation(self) -> bool:
        """True if augmentation follows the scores of held-out images."""
        return self.augment.adapts and self.resolved_augment_signal == "r_v"

    def validation_batch(self, batch_size: int, *, replicas: int) -> ValidationBatch:
        """Return the held-out images that an iteration scores: a fourth of its reals.

        They are whole groups of images that the discriminator compares, at least one group, and the
        same whatever the number of replicas.

        Args:
          batch_size: global, in reals.
          replicas: number of replicas, of all workers together.
        """
        if not self.follows_validation:
            return ValidationBatch(0, 1)
        group_size = self.network.compared_images(batch_size // replicas)
        groups = max(1, batch_size // group_size // _VALIDATION_FRACTION)
        return ValidationBatch(groups * group_size, math.gcd(groups, replicas))

    def accumulated_microbatches(self, batch_size: int) -> int:
        """Return the number of microbatches that are computed one after the other.

        Each has the same number of whole groups of minibatch stddev.

        Args:
          batch_size: of one replica.
        """
        groups = self.network.independent_groups(batch_size)
        most = min(groups, self.run.most_microbatches)
        return next(count for count in range(most, 0, -1) if groups % count == 0)

    def step_kind(self, number: int) -> StepKind:
        """Return the kind of a step.

        Args:
          number: of the step in its phase, counted from 0.
        """
        return self.step_kinds[number % len(self.step_kinds)]

    @property
    def step_kinds(self) -> tuple[StepKind, ...]:
        """The kinds of a phase's first steps, which repeat to its end."""
        return step_kinds(self.optimizer.discriminator_steps, self.loss.penalty_interval)

    @property
    def writes_within_a_kimg(self) -> bool:
        """True if grids or generators are due at fractions of a kimg."""
        lengths = (
            self.run.sample_kimg,
            self.run.network_kimg,
            self.schedule.stabilize_kimg,
            self.schedule.fade_kimg,
            self.schedule.total_kimg,
        )
        return any(length % 1 for length in lengths)

    @property
    def intervals_kimg(self) -> dict[str, float]:
        """The interval of each thing that happens between steps, in thousands of images."""
        return {
            "tick": self.run.tick_kimg,
            "sample": self.run.sample_kimg,
            "checkpoint": self.run.checkpoint_kimg,
            "network": self.run.network_kimg,
            "evaluation": self.evaluation.eval_kimg,
        }

    def for_data(
        self,
        *,
        resolution: int,
        channels: int,
        label_size: int,
        base: Base = SQUARE,
        bits: int = 8,
    ) -> "TrainConfig":
        """Return the configuration completed with facts about the data.

        Args:
          resolution: the pyramid's full resolution, used if no resolution is configured.
          channels: 1 to 4.
          label_size: components of a label; 0 without labels.
          base: height and width at resolution 4.
          bits: of a value of an image, 8 or 16.

        Raises:
          ValueError: the configured resolution is above the data's.
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
            base=base,
            bits=bits,
        )
        return dataclasses.replace(self, network=network)
