"""pgan-train with --augment=ada, by either signal, and with held-out images."""

import json

import pytest
import tensorflow as tf

from pgan_tf.cli import train
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

FLAGS = [
    *("--fmap_base=32", "--fmap_max=8", "--batch_size=8", "--stabilize_kimg=0.032"),
    *("--fade_kimg=0.032", "--total_kimg=0.096", "--tick_kimg=0.016", "--network_kimg=1"),
    *("--augment=ada", "--augment_pipe=bc", "--augment_kimg=0.2"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pyramid(tmp_path_factory.mktemp("data") / "tiny", resolution=8, channels=3)


@pytest.mark.parametrize(
    ("flags", "signal", "sums"),
    [
        (["--loss=logistic", "--augment_target=-0.99"], "r_t", "augment_signs"),
        (["--validation_images=8", "--augment_target=-0.5"], "r_v", "augment_scores"),
    ],
    ids=["logistic", "wgan_gp"],
)
def test_a_run_follows_its_signal(data, tmp_path, flags, signal, sums):
    run_dir = tmp_path / "run"
    assert train.main([f"--data_dir={data}", f"--run_dir={run_dir}", *FLAGS, *flags]) == 0
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    scalars = [json.loads(line) for line in lines]
    assert len(scalars) == 6
    strengths = [line["augment/p"] for line in scalars]
    assert all(0 <= p <= 1 for p in strengths)
    assert all(-1 <= line[f"augment/{signal}"] <= 1 for line in scalars)
    assert all(("scores/validation" in line) == (signal == "r_v") for line in scalars)
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints" / "state-000000096"))
    names = [name for name in reader.get_variable_to_shape_map() if "augment" in name]
    stored = {name.split("/")[1]: reader.get_tensor(name) for name in names}
    assert stored.keys() == {"augment_p", sums}
    assert stored[sums].shape == ((2,) if signal == "r_t" else (4,))
    assert stored[sums].tolist() == [0] * len(stored[sums])  # after twelve iterations
    # p changes with every other tick, by 4 * 8 / 200.
    expected, target = 0.0, -0.99 if signal == "r_t" else -0.5
    for first, second in zip(scalars[::2], scalars[1::2], strict=True):
        change = 0.16 if followed(first, second, signal) > target else -0.16
        expected = min(max(expected + change, 0.0), 1.0)
    assert float(stored["augment_p"]) == pytest.approx(expected, abs=1e-5)


def followed(first, second, signal):
    """Return the signal over two ticks of two steps each."""
    if signal == "r_t":
        return (first["scores/real_sign"] + second["scores/real_sign"]) / 2
    names = ("scores/real", "scores/validation", "scores/fake")
    reals, held_out, fakes = ((first[name] + second[name]) / 2 for name in names)
    return min(max((reals - held_out) / (reals - fakes), -1), 1) if reals > fakes else 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--validation_images must be above 0 with --augment=ada and --loss=wgan_gp"),
        (["--loss=lsgan"], "such as --validation_images=200. Received: 0"),
        (["--augment_signal=r_t"], "augment_signal must be auto or r_v with --loss=wgan_gp"),
        (["--validation_images=13"], "must be at most 12, half of its 24 images. Received: 13"),
        (["--validation_images=-1"], "--validation_images must be at least 0. Received: -1"),
        (["--validation_images=3"], "--validation_images must be at least 4"),
    ],
)
def test_runs_without_the_images_to_follow_are_refused(data, tmp_path, capsys, flags, message):
    run_dir = tmp_path / "run"
    assert train.main([f"--data_dir={data}", f"--run_dir={run_dir}", *FLAGS, *flags]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert not run_dir.exists()


def test_a_run_keeps_its_held_out_images(data, tmp_path, capsys):
    plain = [flag for flag in FLAGS if "augment" not in flag]
    where = [f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}"]
    assert train.main([*where, *plain, "--validation_images=6", "--total_kimg=0.008"]) == 0
    assert "24 images (6 held out)" in capsys.readouterr().out
    assert train.main([*where, *plain, "--validation_images=5"]) == 2
    assert "--validation_images=5 (was 6)" in capsys.readouterr().err
    assert train.main([*where, *plain, "--total_kimg=0.016"]) == 0
