import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.step.optimizer import Adam, Rates, apply_gradients, update_average


def plain(function):
    return function


def compiled(function):
    return tf.function(function, autograph=False, jit_compile=True)


@pytest.mark.parametrize("way", [plain, compiled])
@pytest.mark.parametrize(("beta1", "mixes_beta2"), [(0.0, False), (0.5, False), (0.0, True)])
# Adam's second moment would overflow, and its weight stand still from then on.
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e25])
def test_an_update_that_is_not_finite_leaves_every_bit(way, beta1, bad, mixes_beta2):
    variables = [keras.Variable([1.0, -2.0, 0.0]), keras.Variable([3.0])]
    optimizer = Adam(epsilon=1e-8, mixes_beta2=mixes_beta2)
    optimizer.build(variables)

    @way
    def update(*gradients):
        rates = Rates(tf.constant(0.1), beta1, 0.99)
        return apply_gradients(optimizer, gradients, variables, rates)

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


@pytest.mark.parametrize("way", [plain, compiled])
@pytest.mark.parametrize("betas", [(0.5, 0.999), (0.999, 0.5), (0.9, 0.0, 0.9)])
def test_moments_of_several_beta2_are_corrected_by_the_product_of_all(way, betas):
    variable = keras.Variable([1.0, -2.0])
    optimizer = Adam(epsilon=1e-8, mixes_beta2=True)
    optimizer.build([variable])
    gradients = np.random.default_rng(0).normal(size=[3 * len(betas), 2]).astype(np.float32)
    rate, weights, moment, product = 0.1, np.array([1.0, -2.0]), 0.0, 1.0
    for index, beta2 in enumerate(betas):

        @way
        def update(gradient, beta2=beta2):
            return apply_gradients(
                optimizer, [gradient], [variable], Rates(tf.constant(rate), 0.0, beta2)
            )

        for gradient in gradients[3 * index : 3 * index + 3]:
            update(tf.constant(gradient))
            # The weights of all squares sum to 1 - product, so this is their weighted mean.
            moment, product = beta2 * moment + (1 - beta2) * gradient**2, beta2 * product
            weights = weights - rate * gradient / (np.sqrt(moment / (1 - product)) + 1e-8)
            np.testing.assert_allclose(variable.numpy(), weights, rtol=1e-4)


def test_an_average_keeps_decay_of_itself_and_copies_without():
    average, variable = keras.Variable([1.0, 2.0]), keras.Variable([3.0, 6.0])
    update_average([average], [variable], decay=0.75)
    np.testing.assert_allclose(average.numpy(), [1.5, 3.0])
    average.assign([np.nan, np.inf])
    update_average([average], [variable], decay=0.0)
    np.testing.assert_array_equal(average.numpy(), [3.0, 6.0])
