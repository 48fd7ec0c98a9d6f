"""Flags and devices of the commands that run saved networks."""

import contextlib
from collections.abc import Iterator

from absl import flags as absl_flags

from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.config.optimizer import MAX_EMA_LENGTH
from pgan_tf.config.run import TF32


def define_tf32(flag_values: absl_flags.FlagValues) -> None:
    """Define `--tf32`, for commands other than pgan-train."""
    absl_flags.DEFINE_enum(
        "tf32",
        "on",
        TF32,
        "Let GPUs compute float32 products in TF32, which is faster and rounds to 10 bits.",
        flag_values=flag_values,
    )


def define_ema_length(flag_values: absl_flags.FlagValues) -> None:
    """Define `--ema_length`."""
    absl_flags.DEFINE_float(
        "ema_length",
        None,
        "Length of the generator's moving average, as a fraction of the images shown in training: "
        "another average than the saved one, made from those of pgan-train --ema_lengths. Default: "
        "the saved generator.",
        lower_bound=0.001,
        upper_bound=MAX_EMA_LENGTH,
        flag_values=flag_values,
    )


@contextlib.contextmanager
def ready_devices(*, tf32: str, advice: str, logical_cpus: int = 0) -> Iterator[None]:
    """Import TensorFlow and set up its devices; explain if their memory runs out.

    Args:
      tf32: `on` or `off`.
      advice: the flags that lower the memory, as a clause.
      logical_cpus: above 0 if the user has chosen the CPU.
    """
    with quiet_tensorflow():
        from pgan_tf.distribution.devices import set_tf32
        from pgan_tf.distribution.out_of_memory import explain_out_of_memory
        from pgan_tf.distribution.unused_gpu import warn_of_unused_gpu
    set_tf32(tf32)
    if not logical_cpus:
        warn_of_unused_gpu()
    with explain_out_of_memory(advice):
        yield
