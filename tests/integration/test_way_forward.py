"""Refusals and ends of pgan-train name a command that goes on; here it is run."""

import re
import shlex

import pytest

from pgan_tf.cli import train
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

SMALL = (
    *("--fmap_base=32", "--fmap_max=8", "--stabilize_kimg=0.032", "--fade_kimg=0.032"),
    *("--total_kimg=0.096", "--batch_size=8", "--tick_kimg=0.016"),
)


@pytest.fixture
def run_dir(tmp_path, capsys):
    data = write_pyramid(tmp_path / "data" / "tiny", resolution=8, channels=3)
    assert train.main([f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}", *SMALL]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def commands(text):
    found = re.findall(r"pgan-train (--\S.*)$", text, re.M)
    return [shlex.split(arguments) for arguments in found]


def test_a_finished_run_goes_on_by_the_command_that_it_names(run_dir, capsys):
    assert train.main([f"--run_dir={run_dir}"]) == 0
    out = capsys.readouterr().out
    assert "finished at 0.096 kimg; images and networks are in " in out
    (arguments,) = commands(out)
    assert arguments == [f"--run_dir={run_dir}", "--total_kimg=0.128"]
    assert train.main(arguments) == 0
    assert "finished at 0.128 kimg" in capsys.readouterr().out


def test_other_batches_and_rates_are_trained_with_by_the_command_that_the_refusal_names(
    run_dir, capsys
):
    given = ["--batch_size=16", "--learning_rate=0.002", "--total_kimg=0.16"]
    assert train.main([f"--run_dir={run_dir}", *given]) == 2
    error = capsys.readouterr().err
    assert "--batch_size=16 (was 8)" in error and error.count("\n") == 1
    (arguments,) = commands(error)
    assert train.main(arguments) == 0
    out = capsys.readouterr().out
    assert "finished at 0.064 kimg" in out and f"{run_dir}-2" in out
    flags = (run_dir.parent / "run-2" / "config.flags").read_text()
    for flag in ("--batch_size=16", "--learning_rate=0.002", "--fmap_base=32", "--tick_kimg=0.016"):
        assert f"{flag}\n" in flags
