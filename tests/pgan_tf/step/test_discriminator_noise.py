import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import LossConfig
from pgan_tf.distribution.strategy import all_reduce
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.step.discriminator_noise import FeatureNoise, noise_strength, update_real_score
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import arrays, step_inputs
from tests.helpers.tiny import tiny_config

pytestmark = pytest.mark.slow


def noise(strength=0.1, seed=(1, 2)):
    return FeatureNoise(tf.constant(strength), tf.constant(seed, tf.int64))


def factors(x, **given):
    return noise(**given)(tf.ones(x), layer="8x8_conv0").numpy()


def test_each_map_of_each_sample_has_a_factor_of_its_own():
    drawn = factors([600, 3, 3, 25])
    np.testing.assert_array_equal(drawn, np.broadcast_to(drawn[:, :1, :1], drawn.shape))
    drawn = drawn[:, 0, 0]
    # 15,000 draws of mean 1 and deviation 0.1 * sqrt(25).
    assert drawn.mean() == pytest.approx(1.0, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, rel=0.03)
    assert len(np.unique(drawn)) > 0.99 * drawn.size


def test_strength_grows_with_the_root_of_the_feature_maps():
    few, many = (factors([2000, 1, 1, maps]).std() for maps in (4, 16))
    assert few == pytest.approx(0.2, rel=0.05)
    assert many == pytest.approx(0.4, rel=0.05)


def test_features_are_multiplied(rng):
    x = tf.constant(rng.normal(size=[4, 3, 3, 2]), tf.float32)
    np.testing.assert_allclose(
        noise()(x, layer="8x8_conv0"), x.numpy() * factors([4, 3, 3, 2]), rtol=1e-6
    )


def test_every_layer_minibatch_and_pass_has_another_stream():
    ones = tf.ones([8, 1, 1, 5])
    drawn = [
        noise()(ones, layer="8x8_conv0", num_minibatches=2)[:4],
        noise()(ones, layer="8x8_conv0", num_minibatches=2)[4:],
        noise()(ones, layer="8x8_conv1")[:4],
        noise(seed=(1, 3))(ones, layer="8x8_conv0")[:4],
    ]
    again = noise()(ones, layer="8x8_conv0", num_minibatches=2)[:4]
    np.testing.assert_array_equal(drawn[0], again)
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert np.abs(one - other).min() > 0


def test_replicas_draw_their_samples_of_the_global_batch(two_replicas):
    whole = noise()(tf.ones([8, 1, 1, 3]), layer="4x4_conv").numpy()

    @tf.function(autograph=False)
    def draw():
        return two_replicas.run(
            lambda: noise()(tf.ones([8, 1, 1, 3]), layer="4x4_conv", num_minibatches=2)
        )

    first, second = two_replicas.experimental_local_results(draw())
    np.testing.assert_array_equal(first[:4], whole[0::2])
    np.testing.assert_array_equal(second[:4], whole[1::2])


@pytest.mark.parametrize(
    ("real_score", "strength"), [(-1.0, 0.0), (0.5, 0.0), (1.0, 0.05), (2.0, 0.45)]
)
def test_strength_is_of_scores_above_a_half(real_score, strength):
    assert float(noise_strength(0.2, tf.constant(real_score))) == pytest.approx(strength)


def test_the_average_score_moves_a_tenth_of_the_way_and_stays_where_a_score_is_not_finite():
    average = keras.Variable(0.5, name="real_score")
    for score, expected in [(1.5, 0.6), (0.6, 0.6), (float("nan"), 0.6), (-0.4, 0.5)]:
        update_real_score(average, tf.constant(score))
        assert float(average) == pytest.approx(expected)


def lsgan_config(**network):
    config = tiny_config()
    return dataclasses.replace(
        config,
        loss=LossConfig(loss="lsgan"),
        network=dataclasses.replace(config.network, **network),
    )


def test_a_step_has_noise_once_scores_of_reals_are_high(one_device):
    config = lsgan_config(discriminator_noise=0.2)
    state = TrainState(config, one_device)
    begin = {name: variable.numpy() for name, variable in state.variables().items()}
    train_step = TrainStep(state, config, one_device, resolution=8, fading=True)

    def step(real_score):
        for name, variable in state.variables().items():
            variable.assign(begin[name])
        state.real_score.assign(real_score)
        scalars = train_step(step_inputs()).last_scalars
        return [float(scalars[f]) for f in ("scores/real", "scores/fake", "loss/generator")]

    without, low, high, again = (step(real_score) for real_score in (0.0, 0.5, 3.0, 3.0))
    assert without == low
    assert (np.abs(np.subtract(high, low)) > 1e-4).all()
    assert high == again
    assert float(state.real_score) == pytest.approx(0.9 * 3.0 + 0.1 * high[0], rel=1e-5)


def test_replicas_follow_the_mean_of_their_scores(two_replicas):
    with two_replicas.scope():
        average = keras.Variable(1.0, name="real_score")

    def update():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        score = tf.where(tf.equal(replica, 0), 2.0, 5.0)
        update_real_score(average, all_reduce(tf.distribute.ReduceOp.MEAN, score))

    two_replicas.run(tf.function(update, autograph=False))
    copies = two_replicas.experimental_local_results(average.value)
    assert [copy.numpy() for copy in copies] == pytest.approx([1.25, 1.25])


def test_the_score_is_in_checkpoints_of_runs_with_noise_alone(one_device, tmp_path):
    assert "real_score" not in TrainState(lsgan_config(), one_device).variables()
    config = lsgan_config(discriminator_noise=0.2)
    state = TrainState(config, one_device)
    state.real_score.assign(0.75)
    Checkpoints(tmp_path, state, keep=1).save()
    restored = TrainState(config, one_device)
    assert Checkpoints(tmp_path, restored, keep=1).restore()
    assert float(restored.real_score) == 0.75
    assert arrays(restored.discriminator).keys() == arrays(state.discriminator).keys()
