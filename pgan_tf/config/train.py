"""Everything a training run is told, in one object."""

import dataclasses

from pgan_tf.config.data import DataConfig
from pgan_tf.config.evaluation import EvalConfig
from pgan_tf.config.loss import LossConfig
from pgan_tf.config.network import NetworkConfig
from pgan_tf.config.optimizer import OptimizerConfig
from pgan_tf.config.options import require_default
from pgan_tf.config.run import RunConfig
from pgan_tf.config.schedule import ScheduleConfig


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
        if self.network.discriminator_noise and self.loss.loss != "lsgan":
            raise ValueError(
                "discriminator_noise must be 0 without --loss=lsgan: its strength follows scores "
                "that the loss draws to 0 and 1. Received: "
                f"{self.network.discriminator_noise}"
            )
        if not self.data.use_labels:
            for name in ("label_weight", "generator_label_weight"):
                require_default(self.loss, name, "with --nouse_labels")
        if self.data.dequantize and self.network.output_activation == "tanh":
            raise ValueError(
                "dequantize must be off with --output_activation=tanh, whose images can't reach "
                "as far as reals with noise do. Received: true"
            )
        if self.run.jit_compile == "on" and self.network.normalizes_batches:
            raise ValueError(
                "jit_compile must be auto or off with batch norm, whose statistics are exchanged "
                "between replicas, which XLA can't. Received: on"
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

    @property
    def intervals_kimg(self) -> dict[str, float]:
        """How often each thing is due that happens between steps, in thousands of images."""
        return {
            "tick": self.run.tick_kimg,
            "sample": self.run.sample_kimg,
            "checkpoint": self.run.checkpoint_kimg,
            "network": self.run.network_kimg,
            "evaluation": self.evaluation.eval_kimg,
        }

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
