import numpy as np
import tensorflow as tf

from pgan_tf.step import losses


def test_wasserstein_losses_are_differences_of_scores():
    real, fake = tf.constant([1.0, 2.0]), tf.constant([5.0, -1.0])
    np.testing.assert_array_equal(losses.wasserstein_discriminator(real, fake), [4.0, -3.0])
    np.testing.assert_array_equal(losses.wasserstein_generator(fake), [-5.0, 1.0])


def test_drift_is_the_weighted_square():
    np.testing.assert_allclose(losses.drift(tf.constant([3.0, -2.0]), weight=0.5), [4.5, 2.0])


def test_gradient_penalty_is_relative_to_its_target():
    squares = tf.square(tf.constant([750.0, 0.0, 1500.0]))
    penalty = losses.gradient_penalty(squares, weight=10.0, target=750.0)
    np.testing.assert_allclose(penalty, [0.0, 10.0, 10.0])


def test_least_squares_losses_draw_reals_to_one_and_fakes_to_zero():
    real, fake = tf.constant([1.0, 3.0]), tf.constant([0.0, -2.0])
    np.testing.assert_allclose(losses.least_squares_discriminator(real, fake), [0.0, 8.0])
    np.testing.assert_allclose(losses.least_squares_generator(fake), [1.0, 9.0])


def test_logistic_losses_are_negative_log_probabilities():
    real, fake = np.array([0.3, -2.0, 60.0]), np.array([1.5, -0.7, -60.0])
    expected = -np.log(1 / (1 + np.exp(-real))) - np.log(1 / (1 + np.exp(fake)))
    of_both = losses.logistic_discriminator(tf.constant(real), tf.constant(fake))
    np.testing.assert_allclose(of_both, expected, atol=1e-12)
    expected = -np.log(1 / (1 + np.exp(-fake)))
    np.testing.assert_allclose(losses.logistic_generator(tf.constant(fake)), expected)


def test_relativistic_losses_are_negative_log_probabilities_of_pairs():
    real, fake = np.array([0.3, -2.0, 60.0]), np.array([1.5, -0.7, -60.0])
    of_both = losses.relativistic_discriminator(tf.constant(real), tf.constant(fake))
    np.testing.assert_allclose(of_both, -np.log(1 / (1 + np.exp(fake - real))), atol=1e-12)
    of_both = losses.relativistic_generator(tf.constant(real), tf.constant(fake))
    np.testing.assert_allclose(of_both, -np.log(1 / (1 + np.exp(real - fake))))


def test_r1_and_r2_are_half_of_gamma_times_the_squared_norm():
    penalty = losses.zero_centered_penalty(tf.constant([0.0, 9.0]), gamma=10.0)
    np.testing.assert_allclose(penalty, [0.0, 45.0])


def test_r1_has_a_derivative_where_the_gradient_is_zero():
    weight = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        squares = losses.squared_gradient_norms(
            lambda x: tf.reduce_sum(x * weight, axis=[1, 2, 3]), tf.ones([2, 4, 4, 1]), scale=1.0
        )
        loss = tf.reduce_sum(losses.zero_centered_penalty(squares, gamma=10.0))
    assert float(tape.gradient(loss, weight)) == 0.0


def test_mix_goes_from_reals_to_fakes_by_one_factor_a_sample():
    reals, fakes = tf.zeros([2, 2, 2, 1]), tf.fill([2, 2, 2, 1], 4.0)
    mixed = losses.mix(reals, fakes, tf.reshape(tf.constant([0.0, 0.25]), [2, 1, 1, 1]))
    np.testing.assert_array_equal(mixed[0], np.zeros([2, 2, 1]))
    np.testing.assert_array_equal(mixed[1], np.ones([2, 2, 1]))


def test_gradient_norm_of_a_linear_score_is_the_norm_of_its_weights(rng):
    weights = tf.constant(rng.normal(size=[4, 4, 3]), tf.float32)
    images = tf.constant(rng.normal(size=[5, 4, 4, 3]), tf.float32)
    squares = losses.squared_gradient_norms(
        lambda x: tf.reduce_sum(x * weights, axis=[1, 2, 3]), images, scale=1.0
    )
    np.testing.assert_allclose(np.sqrt(squares), np.full(5, np.linalg.norm(weights)), rtol=1e-5)


def test_gradient_norm_at_the_final_resolution_is_that_of_the_repeated_image(rng):
    weights = tf.constant(rng.normal(size=[8, 8, 1]), tf.float32)
    images = tf.constant(rng.normal(size=[3, 8, 8, 1]), tf.float32)

    def score_of_full_size(full):  # downscales, as the original's discriminator does
        small = tf.reduce_mean(tf.reshape(full, [-1, 8, 4, 8, 4, 1]), axis=[2, 4])
        return tf.reduce_sum(tf.square(small) * weights, axis=[1, 2, 3])

    full = tf.repeat(tf.repeat(images, 4, axis=1), 4, axis=2)
    at_full_size = losses.squared_gradient_norms(score_of_full_size, full, scale=1.0)
    at_the_stage = losses.squared_gradient_norms(
        lambda x: tf.reduce_sum(tf.square(x) * weights, axis=[1, 2, 3]), images, scale=8 / 32
    )
    np.testing.assert_allclose(at_the_stage, at_full_size, rtol=1e-5)


def test_label_loss_is_the_negative_log_probability():
    logits = np.array([[1.0, 2.0, 0.5]], np.float32)
    labels = np.array([[0.0, 1.0, 0.0]], np.float32)
    expected = -np.log(np.exp(2.0) / np.exp(logits).sum())
    np.testing.assert_allclose(losses.label_cross_entropy(logits, labels), [expected], rtol=1e-5)
