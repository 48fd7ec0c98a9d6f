import pytest

from pgan_tf.config import OptimizerConfig


def test_the_moving_average_decays_by_ema_decay_or_is_off():
    assert OptimizerConfig().ema_decay_at(16) == 0.999
    assert OptimizerConfig(ema_update="off").ema_decay_at(16) == 0.0


@pytest.mark.parametrize("batch_size", [4, 64])
@pytest.mark.parametrize("update", ["discriminator_step", "generator_step"])
def test_over_its_half_life_the_moving_average_forgets_half(batch_size, update):
    config = OptimizerConfig(ema_half_life_kimg=1.28, ema_update=update, discriminator_steps=5)
    updates = 1280 / batch_size / (5 if update == "generator_step" else 1)
    assert config.ema_decay_at(batch_size) ** updates == pytest.approx(0.5)
