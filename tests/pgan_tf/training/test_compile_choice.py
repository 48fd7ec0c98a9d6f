import dataclasses
import json

import pytest

from pgan_tf.config.phases import Phase
from pgan_tf.distribution.cluster import Cluster
from pgan_tf.training.compile_choice import CompileChoice, make_compile_choice, pays_off
from tests.helpers.tiny import tiny_config


def make_phase(steps, *, resolution=4, fading=False, batch_size=16):
    return Phase(
        index=0,
        resolution=resolution,
        fading=fading,
        start=0,
        end=steps * batch_size,
        fade_images=0,
        batch_size=batch_size,
        learning_rate=0.001,
    )


def make_choice(path):
    return CompileChoice(tiny_config(), path)


def compiles(choice, phase):
    jit_compile = choice.config_for(phase).run.jit_compile
    assert jit_compile in ("auto", "off")
    return jit_compile == "auto"


@pytest.mark.parametrize("resolution", [4, 32, 1024])
def test_long_phases_pay_off_and_those_of_a_trial_do_not(resolution):
    assert pays_off(make_phase(600_000 // 16, resolution=resolution))
    assert not pays_off(make_phase(200, resolution=resolution))


class PreparedRunStandIn:
    """The parts of a prepared run that the choice depends on."""

    def __init__(self, *, jit_compile="auto", deterministic=False, workers=1):
        config = tiny_config()
        run = dataclasses.replace(config.run, jit_compile=jit_compile, deterministic=deterministic)
        self.config = dataclasses.replace(config, run=run)
        self.replicas = workers
        self.cluster = Cluster(index=0, count=workers)


@pytest.fixture
def gpu_that_compiles(monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind=None: [kind])
    monkeypatch.setattr("pgan_tf.step.compilation.xla_works", lambda: True)


@pytest.mark.parametrize("jit_compile", ["on", "off"])
def test_a_users_own_choice_stays(tmp_path, gpu_that_compiles, jit_compile):
    run = PreparedRunStandIn(jit_compile=jit_compile)
    choice = make_compile_choice(run, tmp_path / "compilation.json")
    assert choice.config_for(make_phase(100)) is run.config
    assert not list(tmp_path.iterdir())


def test_nothing_is_chosen_without_a_gpu(tmp_path):
    run = PreparedRunStandIn()
    choice = make_compile_choice(run, tmp_path / "compilation.json")
    assert choice.config_for(make_phase(100)) is run.config
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [{"workers": 2}, {"deterministic": True}])
def test_runs_that_must_choose_alike_remember_nothing(tmp_path, gpu_that_compiles, settings):
    choice = make_compile_choice(PreparedRunStandIn(**settings), tmp_path / "compilation.json")
    assert not compiles(choice, make_phase(100))
    assert not list(tmp_path.iterdir())


def test_on_a_gpu_short_phases_go_without_xla(tmp_path, gpu_that_compiles):
    choice = make_compile_choice(PreparedRunStandIn(), tmp_path / "compilation.json")
    assert not compiles(choice, make_phase(100))
    assert compiles(choice, make_phase(100_000, resolution=8))


def test_a_phase_that_is_continued_is_computed_as_before(tmp_path):
    path = tmp_path / "compilation.json"
    assert not compiles(make_choice(path), make_phase(100))
    # --total_kimg may have been raised meanwhile.
    assert not compiles(make_choice(path), make_phase(1_000_000))


def test_slow_compilations_make_later_phases_go_without(tmp_path):
    choice = make_choice(tmp_path / "compilation.json")
    long_phase = make_phase(5_000)
    assert compiles(choice, long_phase)
    choice.note_preparation(long_phase, 600.0)
    next_phase = make_phase(5_000, resolution=8, fading=True)
    assert not compiles(make_choice(tmp_path / "compilation.json"), next_phase)


def test_a_cache_of_programs_makes_later_phases_compile(tmp_path):
    choice = make_choice(tmp_path / "compilation.json")
    long_phase, short = make_phase(5_000), make_phase(1_000, resolution=8, fading=True)
    assert not pays_off(short)
    compiles(choice, long_phase)
    choice.note_preparation(long_phase, 2.0)
    assert compiles(choice, short)


def test_without_a_file_choices_depend_on_the_configuration_alone():
    choice = make_choice(None)
    compiles(choice, make_phase(5_000))
    choice.note_preparation(make_phase(5_000), 1e5)
    assert compiles(choice, make_phase(5_000, resolution=8))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{" * 5,
        "[" * 100_000,
        json.dumps({"4x4 stabilize": {"compiled": 1, "seconds": 1}}),
        json.dumps({"4x4 stabilize": {"compiled": True, "seconds": float("nan")}}),
        json.dumps({"4x4 stabilize": 3}),
        json.dumps({"0x0 stabilize": {"compiled": True, "seconds": 1.0}}),
        json.dumps({"many": {"compiled": True, "seconds": 1.0}}),
    ],
)
def test_a_damaged_file_is_ignored(tmp_path, text):
    path = tmp_path / "compilation.json"
    path.write_text(text)
    assert not compiles(make_choice(path), make_phase(100))
    assert json.loads(path.read_text()) == {"4x4 stabilize": {"compiled": False, "seconds": None}}
