import dataclasses
import json

import pytest

from pgan_tf.config.phases import Phase
from pgan_tf.training.compile_choice import CompileChoice, pays_off
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


def chosen(choice, phase, jit_compile="auto"):
    config = tiny_config()
    run = dataclasses.replace(config.run, jit_compile=jit_compile)
    return choice.config_for(dataclasses.replace(config, run=run), phase).run.jit_compile


@pytest.mark.parametrize("resolution", [4, 32, 1024])
def test_long_phases_pay_off_and_those_of_a_trial_do_not(resolution):
    assert pays_off(make_phase(600_000 // 16, resolution=resolution))
    assert not pays_off(make_phase(200, resolution=resolution))


@pytest.mark.parametrize("jit_compile", ["on", "off"])
def test_the_choice_of_the_user_stays(tmp_path, jit_compile):
    choice = CompileChoice(tmp_path / "compilation.json")
    assert chosen(choice, make_phase(100_000), jit_compile) == jit_compile
    assert not list(tmp_path.iterdir())


def test_a_phase_that_is_continued_is_computed_as_before(tmp_path):
    path = tmp_path / "compilation.json"
    assert chosen(CompileChoice(path), make_phase(100)) == "off"
    # --total_kimg may have been raised meanwhile.
    assert chosen(CompileChoice(path), make_phase(1_000_000)) == "off"


def test_slow_compilations_make_later_phases_go_without(tmp_path):
    choice = CompileChoice(tmp_path / "compilation.json")
    long_phase = make_phase(5_000)
    assert chosen(choice, long_phase) == "on"
    choice.prepared(long_phase, 600.0)
    next_phase = make_phase(5_000, resolution=8, fading=True)
    assert chosen(CompileChoice(tmp_path / "compilation.json"), next_phase) == "off"


def test_a_cache_of_programs_makes_later_phases_compile(tmp_path):
    choice = CompileChoice(tmp_path / "compilation.json")
    long_phase, short = make_phase(5_000), make_phase(1_000, resolution=8, fading=True)
    assert not pays_off(short)
    chosen(choice, long_phase)
    choice.prepared(long_phase, 2.0)
    assert chosen(choice, short) == "on"


def test_without_a_file_choices_depend_on_the_configuration_alone():
    choice = CompileChoice(None)
    chosen(choice, make_phase(5_000))
    choice.prepared(make_phase(5_000), 1e5)
    assert chosen(choice, make_phase(5_000, resolution=8)) == "on"


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
    assert chosen(CompileChoice(path), make_phase(100)) == "off"
    assert json.loads(path.read_text()) == {"4x4 stabilize": {"compiled": False, "seconds": None}}
