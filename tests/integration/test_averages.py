"""Whole commands: train with averages, then generate, evaluate and export one of another length."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import pgan_tf
from pgan_tf.cli import evaluate, export, generate, train
from pgan_tf.runs.grids import draw_latents
from pgan_tf.step.power_average import exponent_of
from tests.helpers.states import saved_state
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

# 8x8 in batches of 16, then 16x16, which fades from 32 to 64 images, in batches of 8.
FLAGS = [
    "--fmap_base=64",
    "--fmap_max=8",
    "--stabilize_kimg=0.032",
    "--fade_kimg=0.032",
    "--batch_size=8",
    "--batch_size_by_resolution=8:16",
    "--start_resolution=8",
    "--learning_rate=0.01",
    "--ema_decay=0.9",
    "--network_kimg=0.016",
    "--checkpoint_kimg=0.016",
    "--keep_checkpoints=100",
    "--deterministic",
]
LENGTHS = ["--ema_lengths=0.05,0.1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pyramid(tmp_path_factory.mktemp("averages") / "data", resolution=16, channels=3)


def trained(data, run, *flags, total_kimg=0.16):
    given = [f"--data_dir={data}", f"--run_dir={run}", f"--total_kimg={total_kimg}"]
    assert train.main([*given, *FLAGS, *flags]) == 0
    return run


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return trained(data, tmp_path_factory.mktemp("run") / "run", *LENGTHS)


def checkpoint(run, images_seen):
    """Return the float32 variables of a checkpoint by name."""
    return {
        name.split("/")[1].replace(".S", "/").replace("..", "."): value
        for name, value in saved_state(run, images_seen).items()
    }


def test_each_generator_has_the_averages_of_its_checkpoint_beside_it(run):
    names = sorted(path.name for path in (run / "networks").iterdir())
    kimg = [f"{images / 1000:010.3f}" for images in range(16, 161, 16)]
    assert names == [f"averages-{k}.npz" for k in kimg] + [f"generator-{k}.keras" for k in kimg]
    for images_seen in (32, 64, 160):
        saved = checkpoint(run, images_seen)
        with np.load(run / "networks" / f"averages-{images_seen / 1000:010.3f}.npz") as file:
            arrays = dict(file)
        assert int(arrays.pop("images_seen")) == images_seen
        assert arrays.pop("lengths").tolist() == [0.05, 0.1]
        for name, array in arrays.items():
            number, path = name.split("/", 1)
            of_length = f"generator_ema_{(0.05, 0.1)[int(number)]}/{path}"
            np.testing.assert_array_equal(array, saved[of_length], err_msg=of_length)
        assert len(arrays) == 2 * sum(name.startswith("generator/") for name in saved)


def test_layers_that_have_not_begun_average_to_themselves(run):
    before, after = checkpoint(run, 32), checkpoint(run, 160)
    average = "generator_ema_0.1/16x16_conv0/kernel"
    np.testing.assert_array_equal(before[average], before["generator/16x16_conv0/kernel"])
    assert (after[average] != before[average]).any()
    assert (after[average] != after["generator/16x16_conv0/kernel"]).any()


def test_a_run_that_stops_and_continues_averages_to_the_same_bits(run, data, tmp_path):
    trained(data, tmp_path / "run", *LENGTHS, total_kimg=0.048)
    trained(data, tmp_path / "run", *LENGTHS)
    expected = checkpoint(run, 160)
    found = checkpoint(tmp_path / "run", 160)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_run_without_averages_trains_as_one_with_them(run, data, tmp_path):
    found = checkpoint(trained(data, tmp_path / "run"), 160)
    for name, value in found.items():
        np.testing.assert_array_equal(checkpoint(run, 160)[name], value, err_msg=name)
    assert not any("generator_ema_" in name for name in found)
    assert not list((tmp_path / "run" / "networks").glob("*.npz"))


def test_a_length_that_was_not_tracked_is_near_the_average_of_checkpoints(run, data, tmp_path):
    # At every batch of 8, the weights with which the next batch is shown.
    steps = ["--network_kimg=1", "--checkpoint_kimg=0.008"]
    dense = trained(data, tmp_path / "run", *steps)
    ends = [0, 16, 32, *range(40, 161, 8)]
    masses = np.diff((np.array(ends) / 160) ** (exponent_of(0.07) + 1))
    weights = [checkpoint(dense, end) for end in ends[:-1]]
    model = pgan_tf.load_generator(run, ema_length=0.07)
    for weight in model.weights:
        expected = sum(
            mass * w[f"generator/{weight.path}"] for mass, w in zip(masses, weights, strict=True)
        )
        np.testing.assert_allclose(weight, expected, atol=2e-3, err_msg=weight.path)
    last = pgan_tf.load_generator(run).get_weights()
    found = model.get_weights()
    assert max(np.abs(a - b).max() for a, b in zip(found, last, strict=True)) > 0.01


def test_images_of_another_length_are_drawn(run, tmp_path):
    for length in (0.05, 0.12):
        output = tmp_path / f"{length}"
        flags = [f"--network={run}", f"--output={output}", "--num_images=2", "--nogrid"]
        assert generate.main([*flags, f"--ema_length={length}"]) == 0
        model = pgan_tf.load_generator(run, ema_length=length)
        images = np.clip(model(draw_latents(2, 8, seed=0)), -1.0, 1.0)
        drawn = np.stack([Image.open(output / f"{n:06d}.png") for n in range(2)])
        assert np.abs(drawn - (images * 127.5 + 127.5)).max() <= 1.0
    assert (output / "000000.png").read_bytes() != (tmp_path / "0.05/000000.png").read_bytes()


def test_an_export_says_of_which_length_it_is(run, tmp_path):
    flags = [f"--network={run}", "--format=keras", f"--output={tmp_path}", "--ema_length=0.08"]
    assert export.main(flags) == 0
    assert pgan_tf.describe_generator(tmp_path / "generator.keras")["ema_length"] == 0.08
    exported = pgan_tf.load_generator(tmp_path / "generator.keras")
    expected = pgan_tf.load_generator(run, ema_length=0.08)
    latents = draw_latents(2, 8, seed=0)
    np.testing.assert_allclose(exported(latents), expected(latents), atol=1e-5)


def test_metrics_of_a_length_are_kept_apart(run, capsys):
    flags = [f"--network={run}", "--metrics=ms_ssim", "--num_images=16", "--nofloor"]
    assert evaluate.main(flags) == 0
    for length in ("0.05", "0.1"):
        assert evaluate.main([*flags, f"--ema_length={length}"]) == 0
        content = json.loads((run / f"metrics-000000.160-ema{length}.json").read_text())
        assert content["ema_length"] == float(length)
    saved = json.loads((run / "metrics-000000.160.json").read_text())
    assert "ema_length" not in saved
    assert saved["metrics"] != content["metrics"]
    capsys.readouterr()
    assert evaluate.main([*flags, "--ema_length=0.1", "--all_snapshots"]) == 2
    assert "leave out --all_snapshots" in capsys.readouterr().err


@pytest.mark.parametrize("command", [generate, evaluate, export])
def test_what_has_no_such_average_is_refused_in_one_line(run, data, tmp_path, capsys, command):
    more = {
        generate: [f"--output={tmp_path / 'out'}"],
        evaluate: [f"--data_dir={data}"],
        export: [f"--output={tmp_path / 'out'}", "--format=keras"],
    }[command]
    older = run / "networks" / "generator-000000.016.keras"
    alone = tmp_path / "alone.keras"
    alone.write_bytes(older.read_bytes())
    for network, length, message in (
        (alone, 0.05, "there are none at 16 images"),
        (older, 0.2, r"in 1 file\(s\) of .* would be \d\d% off"),
    ):
        flags = [f"--network={network}", f"--ema_length={length}", *more]
        assert command.main(flags) == 2
        error = capsys.readouterr().err.strip()
        assert re.search(message, error.splitlines()[-1]), error
        assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_run_continues_only_with_the_same_lengths(run, data, capsys):
    flags = [f"--data_dir={data}", f"--run_dir={run}", *FLAGS, "--ema_lengths=0.2"]
    assert train.main(flags) == 2
    assert "--ema_lengths=0.2 (was 0.05,0.1)" in capsys.readouterr().err
