import numpy as np
import tensorflow as tf

from pgan_tf.reporting.histograms import histograms
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import record_gradients, step_inputs
from tests.helpers.tiny import tiny_config


def test_histograms_count_the_weights_and_last_gradients_of_a_stage(one_device, monkeypatch):
    # Gradients are recorded as they are computed, so a batch must be whole.
    config = tiny_config(microbatches="off")
    state = TrainState(config, one_device)
    recorded = record_gradients(monkeypatch)
    tf.config.run_functions_eagerly(True)
    try:
        TrainStep(state, config, one_device, resolution=8, fading=True)(step_inputs())
    finally:
        tf.config.run_functions_eagerly(False)
    found = dict(histograms(state, resolution=8, fading=True))
    for name, network in (("generator", state.generator), ("discriminator", state.discriminator)):
        for path, gradient in recorded[name].items():
            for tag, values in (
                (f"weights_{name}/{path}", network.variables[path].numpy()),
                (f"weights_{name}/{path}_gradient", gradient),
            ):
                rows = found.pop(tag)
                assert rows[:, 2].sum() == values.size
                np.testing.assert_allclose(
                    [rows[0, 0], rows[-1, 1]], [values.min(), values.max()], rtol=1e-5, err_msg=tag
                )
                # Each bucket's count, against counting by hand.
                for left, right, count in rows[:-1][rows[:-1, 1] > rows[:-1, 0]]:
                    inside = (values >= left - 1e-7) & (values < right + 1e-7)
                    assert abs(int(inside.sum()) - count) <= 1
    assert found == {}


def test_histograms_leave_out_other_stages_and_values_that_are_not_finite(one_device):
    state = TrainState(tiny_config(), one_device)
    bias = state.generator.variables["4x4_conv/bias"]
    bias.assign([np.nan, np.inf, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = dict(histograms(state, resolution=4, fading=False))
    assert not any("8x8" in tag for tag in found)
    rows = found["weights_generator/4x4_conv/bias"]
    assert rows[:, 2].sum() == 6
    assert (rows[0, 0], rows[-1, 1]) == (1.0, 6.0)


def test_equal_values_are_one_bucket_without_width(one_device):
    state = TrainState(tiny_config(), one_device)
    found = dict(histograms(state, resolution=4, fading=False))
    np.testing.assert_array_equal(found["weights_generator/4x4_conv/bias"], [[0, 0, 8]])
