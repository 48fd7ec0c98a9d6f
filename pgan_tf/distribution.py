"""Which devices train: the choice of a `tf.distribute` strategy."""

import functools

import tensorflow as tf

from tfrecords_tools.errors import UserError


def make_strategy(distribution: str, *, logical_cpus: int = 0) -> tf.distribute.Strategy:
    """Makes the strategy; call it before anything else touches TensorFlow's devices.

    Args:
      distribution: `auto` takes every visible GPU, or all logical CPUs, else one device;
        `one_device` the first GPU or the CPU; `mirrored` a replica on every GPU or logical CPU.
      logical_cpus: split the CPU into this many logical devices and use them instead of GPUs; 0
        does not.

    Raises:
      UserError: TensorFlow's devices were set up otherwise before.
    """
    devices = _devices(logical_cpus)
    if distribution == "one_device" or (distribution == "auto" and len(devices) == 1):
        return tf.distribute.OneDeviceStrategy(devices[0])
    return _mirrored(tuple(devices))


@functools.lru_cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # Once a process: a second one would number its collectives from the start again, and TensorFlow
    # would take them for the first one's, whatever their shapes.
    return tf.distribute.MirroredStrategy(devices)


def _devices(logical_cpus: int) -> list[str]:
    if logical_cpus:
        _split_cpu(logical_cpus)
        return [f"/CPU:{i}" for i in range(logical_cpus)]
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Otherwise TensorFlow takes the whole memory at once, and peak figures mean nothing.
        tf.config.experimental.set_memory_growth(gpu, True)
    return [f"/GPU:{i}" for i in range(len(gpus))] or ["/CPU:0"]


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    wanted = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(cpu, wanted)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise UserError(
                f"--logical_cpus={count} must be set before TensorFlow starts: {error}"
            ) from error
