"""What a training run is told: frozen dataclasses, validated on construction.

Standard library only, so that a configuration can be read, printed and refused before TensorFlow is
imported. Every field made by `option` is also a command-line flag of `pgan-train` (see `flags.py`).
Anything counted in kimg (thousands of real images shown to the discriminator) is a float.
"""

from pgan_tf.config.data import DataConfig
from pgan_tf.config.evaluation import METRICS, EvalConfig
from pgan_tf.config.loss import LossConfig
from pgan_tf.config.network import NetworkConfig
from pgan_tf.config.optimizer import OptimizerConfig
from pgan_tf.config.run import RunConfig
from pgan_tf.config.schedule import ScheduleConfig
from pgan_tf.config.train import TrainConfig

__all__ = [
    "METRICS",
    "DataConfig",
    "EvalConfig",
    "LossConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "RunConfig",
    "ScheduleConfig",
    "TrainConfig",
]
