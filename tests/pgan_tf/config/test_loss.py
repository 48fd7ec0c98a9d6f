import dataclasses

import pytest

from pgan_tf.config import LossConfig
from pgan_tf.config.flags import parse_flagfile, to_flagfile
from pgan_tf.config.train import TrainConfig


def gammas(resolution=64, batch_size=32, **options):
    loss = LossConfig(**options).with_gammas(
        resolution, final_resolution=256, batch_size=batch_size
    )
    return loss.r1_gamma, loss.r2_gamma


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"loss": "logistic"}, (10.0, 0.0)),
        ({"loss": "logistic", "r1_gamma": 3.0, "r2_gamma": 2.0}, (3.0, 2.0)),
        ({"loss": "rpgan", "r1_gamma": 3.0}, (3.0, 3.0)),
        ({"loss": "rpgan", "r1_gamma": 3.0, "r2_gamma": 0.0}, (3.0, 0.0)),
        ({"loss": "rpgan", "r2_gamma": 0.5, "gradient_penalty_resolution": "stage"}, (0.0256, 0.5)),
        # 0.0002 * 64^2 / 32 and, where norms are those at 256x256, 0.0002 * 256^2 / 32.
        ({"loss": "rpgan", "gradient_penalty_resolution": "stage"}, (0.0256, 0.0256)),
        ({"loss": "rpgan"}, (0.4096, 0.4096)),
        ({"loss": "rpgan", "batch_size": 8}, (1.6384, 1.6384)),
        ({}, (None, None)),
        # At 64x64.
        ({"loss": "logistic", "r1_gamma_by_resolution": {64: 3.0, 128: 4.0}}, (3.0, 0.0)),
        ({"loss": "logistic", "r1_gamma_by_resolution": {128: 4.0}}, (10.0, 0.0)),
        ({"loss": "logistic", "r2_gamma_by_resolution": {64: 3.0}}, (10.0, 3.0)),
        ({"loss": "rpgan", "r1_gamma_by_resolution": {64: 3.0}}, (3.0, 3.0)),
        ({"loss": "rpgan", "r1_gamma": 5.0, "r2_gamma_by_resolution": {64: 3.0}}, (5.0, 3.0)),
        ({"loss": "rpgan", "r1_gamma_by_resolution": {128: 3.0}}, (0.4096, 0.4096)),
    ],
    ids=str,
)
def test_gammas_are_given_or_by_the_loss_and_the_rule(options, expected):
    assert gammas(**options) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "penalties"),
    [
        ({"loss": "logistic", "r1_gamma": 0.0, "r1_gamma_by_resolution": {8: 1.0}}, (0, 1)),
        ({"loss": "logistic", "r1_gamma_by_resolution": {4: 0.0}}, (0, 1)),
        ({"loss": "logistic", "r2_gamma_by_resolution": {8: 1.0}}, (1, 2)),
        ({"loss": "rpgan", "r1_gamma_by_resolution": {4: 0.0}}, (0, 2)),
        ({"loss": "rpgan", "r1_gamma": 0.0, "r2_gamma_by_resolution": {8: 1.0}}, (0, 1)),
    ],
    ids=str,
)
def test_a_stage_without_weights_has_no_penalties_and_is_not_lazy(options, penalties):
    loss = LossConfig(**options, penalty_interval=4, gradient_penalty_resolution="stage")
    stages = [loss.at_stage(resolution) for resolution in (4, 8)]
    assert tuple(stage.gradient_penalties for stage in stages) == penalties
    assert [stage.is_lazy for stage in stages] == [count > 0 for count in penalties]
    assert loss.gradient_penalties == max(penalties)


@pytest.mark.parametrize("resolution", [4, 32, 256])
def test_the_rule_penalizes_alike_at_whatever_resolution_norms_are_taken(resolution):
    at_stage, _ = gammas(resolution, loss="rpgan", gradient_penalty_resolution="stage")
    at_final, _ = gammas(resolution, loss="rpgan")
    norm_at_stage, norm_at_final = 1.0, resolution / 256
    assert at_final * norm_at_final**2 == pytest.approx(at_stage * norm_at_stage**2)


def test_runs_of_version_0_1_keep_their_gammas():
    wgan_gp = parse_flagfile("--loss=wgan_gp\n--r1_gamma=10.0\n", "config.flags").loss
    assert wgan_gp == LossConfig()
    # And its default is no choice of the user's, if another loss goes on from there.
    assert dataclasses.replace(wgan_gp, loss="rpgan").has_gamma_by_rule
    logistic = parse_flagfile("--loss=logistic\n--r1_gamma=10.0\n", "config.flags").loss
    assert logistic.r1_gamma == 10.0


def test_a_gamma_by_rule_stays_one_when_a_run_continues():
    config = TrainConfig(loss=LossConfig(loss="rpgan"))
    assert parse_flagfile(to_flagfile(config), "config.flags").loss == config.loss
