"""Tiny runs that are made to fail, and the finding of each; healthy ones have none."""

import importlib.util
import json
import shlex
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests.helpers.presets import config_of

pytestmark = pytest.mark.slow

_PATH = Path(__file__).parents[2] / "benchmarks" / "diagnosis.py"
_SPEC = importlib.util.spec_from_file_location("diagnosis_runs", _PATH)
runs = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(runs)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return {name: runs.prepare_data(root / name, name) for name in runs.DATA}


@pytest.fixture(scope="module")
def provoked(data, tmp_path_factory):
    """A run directory for each finding, made when it is asked for."""
    root, made = tmp_path_factory.mktemp("runs"), {}

    def provoke(name):
        if name not in made:
            made[name] = root / name
            runs.provoke(made[name], data, runs.PROVOCATIONS[name])
        return made[name]

    return provoke


@pytest.mark.parametrize("name", runs.PROVOCATIONS)
def test_trouble_that_is_provoked_is_found(provoked, name):
    finding = runs.findings(provoked(name))[name]
    assert 0 < finding["since"] <= 19_200
    if finding["flags"]:
        command = finding["command"]
        config_of(*shlex.split(command[command.index("pgan-train") :])[1:])


def test_a_finding_is_in_tensorboard(provoked):
    events = EventAccumulator(str(provoked("not_finite")), size_guidance={"tensors": 0})
    events.Reload()
    (text,) = events.Tensors("diagnosis")
    assert b"**not_finite**" in tf.make_ndarray(text.tensor_proto).item()


def test_a_healthy_run_is_silent(data, tmp_path, caplog, capsys):
    runs.provoke(tmp_path / "run", data, runs.HEALTHY)
    content = json.loads((tmp_path / "run" / "diagnosis.json").read_text())
    assert content["findings"] == content["gone"] == []
    assert "diagnosis: " not in caplog.text + capsys.readouterr().out
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert log.count("diagnosis/separation") >= 10
