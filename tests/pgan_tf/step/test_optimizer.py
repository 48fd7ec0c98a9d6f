import keras
import numpy as np
import tensorflow as tf

from pgan_tf.step.optimizer import apply_gradients, update_average
from pgan_tf.step.train_state import TrainState
from tests.helpers.tiny import tiny_config


def test_a_gradient_too_large_to_be_squared_is_skipped(one_device):
    # Adam's second moment would overflow, and its weight stand still from then on.
    config = tiny_config()
    state = TrainState(config, one_device)
    variable = state.discriminator.variables["4x4_dense1/bias"]
    for gradient, expected in ((1e10, 0.0), (1e25, 1.0)):
        skipped, _ = apply_gradients(
            state.discriminator_optimizer, [tf.constant([gradient])], [variable], tf.constant(0.1)
        )
        assert float(skipped) == expected
    assert int(state.discriminator_optimizer.iterations.numpy()) == 1
    assert np.isfinite(variable.numpy()).all()


def test_an_average_keeps_decay_of_itself_and_copies_without():
    average, variable = keras.Variable([1.0, 2.0]), keras.Variable([3.0, 6.0])
    update_average([average], [variable], decay=0.75)
    np.testing.assert_allclose(average.numpy(), [1.5, 3.0])
    average.assign([np.nan, np.inf])
    update_average([average], [variable], decay=0.0)
    np.testing.assert_array_equal(average.numpy(), [3.0, 6.0])
