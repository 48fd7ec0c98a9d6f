"""Compilation with XLA: which operations of an iteration become one program."""

import enum

import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.distribution.xla_probe import xla_works


class Compilation(enum.Enum):
    """Extent of the programs that a replica's iteration is compiled to.

    Attributes:
      NONE: there are none; TensorFlow starts one operation after the other.
      WHOLE: one program holds the iteration, which exchanges nothing with other replicas.
      PARTS: XLA can't exchange values between replicas, so everything before an exchange is a
        program, and everything after it is another.
    """

    NONE = enum.auto()
    WHOLE = enum.auto()
    PARTS = enum.auto()


def choose_compilation(config: TrainConfig, *, replicas: int) -> Compilation:
    """Return how an iteration is compiled.

    Args:
      config: of the run.
      replicas: number of replicas, of all workers together.
    """
    if not _uses_xla(config):
        return Compilation.NONE
    return Compilation.WHOLE if replicas == 1 else Compilation.PARTS


def _uses_xla(config: TrainConfig) -> bool:
    """Return whether anything is compiled.

    By default it is on GPUs that XLA works on, except with batch norm, which exchanges statistics
    between replicas in the middle of a pass.
    """
    if config.run.jit_compile == "auto":
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        return has_gpu and not config.network.normalizes_batches and xla_works()
    return config.run.jit_compile == "on"
