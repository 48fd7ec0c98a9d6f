import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.step.optimizer import Adam, apply_gradients, update_average


def plain(function):
    return function


def compiled(function):
    return tf.function(function, autograph=False, jit_compile=True)


@pytest.mark.parametrize("way", [plain, compiled])
@pytest.mark.parametrize("beta1", [0.0, 0.5])
# Adam's second moment would overflow, and its weight stand still from then on.
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e25])
def test_an_update_that_is_not_finite_leaves_every_bit(way, beta1, bad):
    variables = [keras.Variable([1.0, -2.0, 0.0]), keras.Variable([3.0])]
    optimizer = Adam(beta_1=beta1, beta_2=0.99, epsilon=1e-8)
    optimizer.build(variables)

    @way
    def update(*gradients):
        return apply_gradients(optimizer, gradients, variables, tf.constant(0.1))

    def everything():
        return [variable.numpy().tobytes() for variable in (*variables, *optimizer.variables)]

    good = [tf.constant([0.1, -2.0, 0.0]), tf.constant([1e10])]
    assert float(update(*good).skipped) == 0.0
    before = everything()
    assert float(update(good[0], tf.constant([bad])).skipped) == 1.0
    assert everything() == before
    assert float(update(*good).skipped) == 0.0
    assert everything() != before
    assert int(optimizer.iterations.numpy()) == 2
    assert all(np.isfinite(variable.numpy()).all() for variable in variables)


def test_an_average_keeps_decay_of_itself_and_copies_without():
    average, variable = keras.Variable([1.0, 2.0]), keras.Variable([3.0, 6.0])
    update_average([average], [variable], decay=0.75)
    np.testing.assert_allclose(average.numpy(), [1.5, 3.0])
    average.assign([np.nan, np.inf])
    update_average([average], [variable], decay=0.0)
    np.testing.assert_array_equal(average.numpy(), [3.0, 6.0])
