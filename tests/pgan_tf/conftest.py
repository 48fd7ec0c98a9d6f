"""Fixtures for tests of the trainer, with two logical CPUs for tests of two replicas."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import disable_op_determinism

from pgan_tf.distribution.strategy import make_strategy
from tests.helpers.tiny import write_pyramid

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture
def one_device():
    return tf.distribute.OneDeviceStrategy("/CPU:0")


@pytest.fixture
def two_replicas():
    return make_strategy("mirrored", logical_cpus=2)


@pytest.fixture
def pyramid_dir(tmp_path):
    """24 RGB images at 8x8 without labels."""
    return write_pyramid(tmp_path / "data" / "tiny", resolution=8, channels=3)


@pytest.fixture
def labelled_dir(tmp_path):
    """24 grayscale images at 8x8 with three labels."""
    labels = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    return write_pyramid(tmp_path / "data" / "labelled", resolution=8, channels=1, labels=labels)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def deterministic():
    tf.config.experimental.enable_op_determinism()
    yield
    disable_op_determinism()
