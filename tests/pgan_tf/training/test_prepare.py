"""The order of start-up, which training and dry runs share."""

import dataclasses

import pytest
import tensorflow as tf

from pgan_tf.config import DataConfig
from pgan_tf.planning.trial import try_phases
from pgan_tf.planning.trial_process import PhaseMeasured, Started
from pgan_tf.training import prepare
from pgan_tf.training.prepare import prepare_run
from tests.helpers.tiny import tiny_config
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def calls(monkeypatch):
    """A list of the functions that start-up calls, in their order."""
    noted = []

    def note(name):
        function = getattr(prepare, name)

        def call(*args, **kwargs):
            noted.append(name)
            return function(*args, **kwargs)

        monkeypatch.setattr(prepare, name, call)

    for name in (
        "open_data",
        "fit_to_data",
        "set_up_threads",
        "make_strategy",
        "check_batches",
        "set_up_tensorflow",
    ):
        note(name)
    return noted


def test_start_up_is_in_the_order_that_tensorflow_needs(labelled_dir, tmp_path, calls):
    config = tiny_config(labelled_dir, tmp_path / "run", logical_cpus=2)
    run = prepare_run(dataclasses.replace(config, data=DataConfig(data_dir=str(labelled_dir))))
    assert calls == [
        "open_data",
        "fit_to_data",
        "set_up_threads",
        "make_strategy",
        "check_batches",
        "set_up_tensorflow",
    ]
    assert (run.config.network.channels, run.config.network.label_size) == (1, 3)
    assert run.replicas == 2
    assert run.cluster.is_chief
    assert [phase.resolution for phase in run.schedule.phases] == [4, 8, 8]
    assert run.pyramid.count == 24


def test_mistakes_in_the_data_are_found_before_tensorflow_starts(pyramid_dir, tmp_path, calls):
    config = tiny_config(tmp_path / "nothing", tmp_path / "run")
    with pytest.raises(UserError, match="nothing: no such directory"):
        prepare_run(config)
    network = dataclasses.replace(config.network, resolution=64)
    config = dataclasses.replace(tiny_config(pyramid_dir), network=network)
    with pytest.raises(UserError, match="resolution must not be above the data's 8"):
        prepare_run(config)
    assert calls == ["open_data", "open_data", "fit_to_data"]


def test_batches_are_checked_against_the_replicas(pyramid_dir, calls):
    config = tiny_config(pyramid_dir, logical_cpus=2)
    schedule = dataclasses.replace(config.schedule, batch_size=12)
    with pytest.raises(UserError, match="must be a multiple of 8, for 2 replicas"):
        prepare_run(dataclasses.replace(config, schedule=schedule))
    assert calls[-1] == "check_batches"


@pytest.mark.parametrize("setting", ["off", "on"])
def test_tf32_is_set_as_the_run_wants_it(pyramid_dir, setting):
    prepare_run(tiny_config(pyramid_dir, tf32=setting))
    assert tf.config.experimental.tensor_float_32_execution_enabled() == (setting == "on")


def test_a_trial_starts_up_as_training_does(pyramid_dir, calls, monkeypatch):
    monkeypatch.setattr("pgan_tf.planning.trial._LEAST_SECONDS", 0.0)
    config = tiny_config(pyramid_dir)
    run = prepare_run(config)
    expected, said = list(calls), []
    calls.clear()
    try_phases(run.config, [run.schedule.phases[0]], said.append)
    assert calls == expected
    assert [type(message) for message in said] == [Started, PhaseMeasured]
    assert said[0] == Started(1, "CPU:0")
