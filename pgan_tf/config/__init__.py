"""The configuration of a training run: frozen dataclasses, validated on construction.

One file a section (`data.py`, `network.py`, `schedule.py`, ...); `train.py` puts them together in
`TrainConfig`, where reading begins. `options.py` makes fields into options, and `flags.py` makes
each option a flag of `pgan-train`. `phases.py` and `intervals.py` turn the schedule into steps.

Apart from `flags.py` the room needs the standard library alone, so that a configuration can be
read, printed and refused before TensorFlow is imported. Of the project it imports nothing but the
common ground of `tfrecords_tools`. Anything counted in kimg (thousands of real images shown to the
discriminator) is a float.
"""

from pgan_tf.config.augment import AugmentConfig
from pgan_tf.config.data import DataConfig
from pgan_tf.config.evaluation import EVALUATE_METRICS, METRICS, EvalConfig
from pgan_tf.config.loss import LossConfig
from pgan_tf.config.network import NetworkConfig
from pgan_tf.config.optimizer import OptimizerConfig
from pgan_tf.config.run import RunConfig
from pgan_tf.config.schedule import ScheduleConfig
from pgan_tf.config.step_kinds import FULL_STEP, StepKind
from pgan_tf.config.train import TrainConfig

__all__ = [
    "EVALUATE_METRICS",
    "FULL_STEP",
    "METRICS",
    "AugmentConfig",
    "DataConfig",
    "EvalConfig",
    "LossConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "RunConfig",
    "ScheduleConfig",
    "StepKind",
    "TrainConfig",
]
