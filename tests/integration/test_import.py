"""pgan-import as a user types it: files of the original in, a directory of ours out."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pgan_tf
from pgan_tf.cli import generate, import_legacy, train
from pgan_tf.runs.grids import draw_latents
from tests.helpers.network_files import (
    GRAY_LABELS,
    PYTHON_2,
    golden_states,
    golden_variables,
    write_network_file,
)
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def network_file(tmp_path):
    return write_network_file(tmp_path / "network.pkl", golden_states(), protocol=PYTHON_2)


def refuse(capsys, *arguments):
    """Runs the command, which must fail as a user's mistake; returns the error line."""
    assert import_legacy.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("pgan-import: error: ")
    assert error.count("\n") == 1
    return error


def test_an_imported_network_draws_pictures(capsys, tmp_path, network_file):
    assert import_legacy.main(["--input=network.pkl", "--output=imported"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "network.pkl: TensorFlow version, 16x16, 3 channel(s), latents of 16",
        "Gs -> imported/generator.keras",
        "G -> imported/generator-raw.keras",
        "D -> imported/discriminator.keras",
        "to continue training: pgan-train --init_from=imported --data_dir=... --run_dir=...",
    ]
    assert generate.main(["--network=imported", "--output=out", "--num_images=2"]) == 0
    with Image.open("out/000001.png") as image:
        pixels = np.asarray(image)
    model = pgan_tf.load_generator("imported")
    expected = model(draw_latents(2, 16, seed=0))[1].numpy()
    np.testing.assert_allclose(pixels, np.clip(expected * 127.5 + 127.5, 0, 255), atol=0.51)


def test_a_network_with_labels_saved_while_it_grew(capsys, tmp_path):
    states = golden_states("networks_8_gray_labels.npz", GRAY_LABELS, lod=0.75)
    write_network_file(tmp_path / "n.pkl", states[2:], container=None)
    assert import_legacy.main(["--input=n.pkl", "--output=imported"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "n.pkl: TensorFlow version, 8x8, 1 channel(s), latents of 8, 3 labels",
        "saved while training at 8x8, faded in to alpha 0.250: written at that resolution",
        "Gs -> imported/generator.keras",
        "Gs -> imported/generator-raw.keras",
        "no run can begin with these networks: the file has no discriminator",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=o"], "--input is required. See pgan-import --help"),
        (["--input=network.pkl"], "--output is required"),
        (["--input=missing.pkl", "--output=o"], "missing.pkl: no such file"),
        (["--input=.", "--output=o"], ".: not a file"),
        (["--input=network.pkl", "--output=network.pkl"], "a file of that name exists"),
        (["--input=network.pkl", "--output=network.pkl/o"], "is a file, not a directory"),
        (
            ["--input=network.pkl", "--output=full"],
            "holds files that are not part of imported networks",
        ),
        (["--input=network.pkl", "--output=full", "--overwrite"], "never replaced"),
        (["--input=text.pkl", "--output=o"], "text.pkl: damaged or no pickle"),
        (["--input=attack.pkl", "--output=o"], "nothing in it was run. Received: os.system"),
        (["--input=eval.pkl", "--output=o"], "Received: builtins.eval"),
        (["--input=cut.pkl", "--output=o"], "cut.pkl: damaged or no pickle"),
        (["network.pkl"], "arguments are given as --flag=value"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    capsys, tmp_path, network_file, arguments, message
):
    (tmp_path / "text.pkl").write_text("not a pickle")
    (tmp_path / "attack.pkl").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    (tmp_path / "eval.pkl").write_bytes(b"cbuiltins\neval\n(S\"open('owned', 'w')\"\ntR.")
    (tmp_path / "cut.pkl").write_bytes(network_file.read_bytes()[:-100])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    before = sorted(tmp_path.rglob("*"))
    assert message in refuse(capsys, *arguments)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_import_is_replaced_on_demand(capsys, network_file):
    arguments = ["--input=network.pkl", "--output=imported"]
    assert import_legacy.main(arguments) == 0
    assert "exists already; --overwrite replaces it" in refuse(capsys, *arguments)
    assert import_legacy.main([*arguments, "--overwrite"]) == 0
    assert sorted(os.listdir()) == ["imported", "network.pkl"]


def test_imported_networks_are_trained_on(capsys, tmp_path):
    write_network_file(tmp_path / "network.pkl", golden_states(lod=1.0))
    assert import_legacy.main(["--input=network.pkl", "--output=imported"]) == 0
    write_pyramid(tmp_path / "data" / "tiny", resolution=16, channels=3)
    # A learning rate that changes nothing, to find the weights again.
    arguments = ["--data_dir=data/tiny", "--run_dir=run", "--init_from=imported"]
    steps = ["--total_kimg=0.016", "--batch_size=8", "--learning_rate=1e-12"]
    assert train.main([*arguments, *steps]) == 0
    assert "8x8 stabilize" in capsys.readouterr().out
    reader = tf.train.load_checkpoint("run/checkpoints/state-000000016")
    key = "variables/discriminator.S8x8_conv0.Skernel/.ATTRIBUTES/VARIABLE_VALUE"
    expected = golden_variables("networks_16_rgb.npz", "D")["8x8/Conv0/weight"]
    np.testing.assert_allclose(reader.get_tensor(key), expected, atol=1e-6)
    flags = (tmp_path / "run" / "config.flags").read_text().splitlines()
    assert f"--init_from={tmp_path / 'imported'}" in flags
    assert {"--fmap_base=64", "--fmap_max=16", "--start_resolution=8"} <= set(flags)

    shutil.rmtree("imported")
    assert train.main(["--run_dir=run"]) == 0  # a run that exists needs them no more
    assert "continuing at 0.0 of 0.016 kimg" in capsys.readouterr().out
    assert train.main([*arguments[:1], "--run_dir=new", "--init_from=imported"]) == 2
    assert "--init_from must be a run directory" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
