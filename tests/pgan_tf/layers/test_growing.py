"""Resampling by two, and the fade."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers import DownScale2D, UpScale2D, WeightedSum
from tests.helpers import layer_reference as reference


def test_upscale_repeats_and_downscale_averages(rng):
    x = rng.normal(size=[2, 4, 4, 3]).astype(np.float32)
    np.testing.assert_array_equal(UpScale2D()(x), reference.upscale(x))
    np.testing.assert_allclose(DownScale2D()(x), reference.downscale(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, 3.0), (0.25, 4.0), (1.0, 7.0)])
def test_weighted_sum_goes_from_old_to_new(alpha, expected):
    old, new = tf.constant([[3.0]]), tf.constant([[7.0]])
    assert WeightedSum()([old, new, tf.constant(alpha)]) == expected
    assert WeightedSum(alpha=alpha)([old, new]) == expected


def test_weighted_sum_keeps_alpha_exact_in_lower_precision():
    old, new = tf.constant([[-1.0]], tf.bfloat16), tf.constant([[0.0]], tf.bfloat16)
    output = WeightedSum(dtype="mixed_bfloat16")([old, new, tf.constant(0.9985)])
    assert output.dtype == tf.bfloat16
    # An alpha rounded to bfloat16 would be 1, and the output 0.
    assert float(output[0, 0]) == pytest.approx(-0.0015, rel=0.01)


@pytest.mark.parametrize(
    "layer",
    [
        UpScale2D(name="up"),
        DownScale2D(name="down"),
        WeightedSum(alpha=0.5, name="fade"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_survive_serialization(layer):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
