"""The doctor's memory, its log and its file."""

import dataclasses
import json

import pytest
import tensorflow as tf

from pgan_tf.config.flags import to_flagfile
from pgan_tf.config.phases import Schedule
from pgan_tf.diagnosis import doctor as doctor_module
from pgan_tf.diagnosis.checks import CHECKS
from pgan_tf.diagnosis.doctor import Doctor, NullDoctor
from pgan_tf.diagnosis.history import KEPT_TICKS
from pgan_tf.runs.run_directory import RunDirectory
from tests.helpers.histories import history, subject
from tfrecords_tools.errors import UserError


class FakePyramid:
    """As much of a pyramid as the doctor asks for without measuring."""

    count, is_remote, labels = 1000, False, None


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    return RunDirectory(tmp_path / "run")


def doctor(run, of):
    config = of.config
    schedule = Schedule(config.schedule, 8)
    made = Doctor(config, run, schedule, FakePyramid(), None, replicas=1)
    made.begin()
    return made


def watch(made, run, ticks):
    """Show ticks to a doctor as training does; return what it gives to TensorBoard."""
    shown = {}
    for tick in ticks:
        run.metrics_log.append(tick.images_seen, tick.images_seen, tick.scalars)
        text = made.look(tick.phase, tick.images_seen, tick.scalars)
        if text is not None:
            shown[tick.images_seen] = text
    return shown


def content(run):
    return json.loads(run.diagnosis.read_text())


def collapsed_from_45_to_52(kimg):
    return 0.05 if 45 <= kimg <= 52 else 0.9


def test_a_healthy_run_is_silent(run, caplog, capsys):
    of = subject()
    assert watch(doctor(run, of), run, history(of)) == {}
    assert content(run) == {"format_version": 1, "findings": [], "gone": []}
    assert "diagnosis" not in caplog.text + capsys.readouterr().out


def test_trouble_is_told_of_once_when_it_begins_and_once_when_it_ends(run, caplog, capsys):
    of = subject()
    made = doctor(run, of)
    ticks = history(of, kimg=range(1, 60), diagnosis__variety=collapsed_from_45_to_52)
    shown = watch(made, run, ticks[:50])
    (began,) = shown
    assert "**collapse**: a lower learning rate would help: fakes vary 5%" in shown[began]
    (finding,) = content(run)["findings"]
    assert finding["name"] == "collapse"
    assert finding["since"] == began - 2000
    assert finding["flags"] == {"learning_rate": "0.001"}
    assert finding["command"].startswith("train on with pgan-train --flagfile=")
    assert watch(made, run, ticks[50:]) == {55_000: "Nothing is wrong any longer."}
    assert content(run)["findings"] == []
    assert content(run)["gone"] == [finding | {"until": 55_000}]
    assert caplog.text.count("diagnosis: ") == 1
    assert capsys.readouterr().out == "diagnosis: collapse has gone\n"
    assert (
        caplog.text.count(f"since {finding['since'] / 1000:g} kimg; train on with pgan-train") == 1
    )


def test_a_run_that_is_continued_knows_since_when(run, caplog):
    of = subject()
    ticks = history(of, kimg=range(1, 53), diagnosis__variety=collapsed_from_45_to_52)
    watch(doctor(run, of), run, ticks[:50])
    before = content(run)
    run.diagnosis.unlink()
    caplog.clear()
    made = doctor(run, of)
    assert content(run) == before
    assert watch(made, run, ticks[50:]) == {}
    assert "diagnosis" not in caplog.text
    assert content(run) == before


def test_a_run_that_is_killed_before_a_finding_comes_to_the_same(run):
    of = subject()
    ticks = history(of, kimg=range(1, 53), diagnosis__variety=collapsed_from_45_to_52)
    watch(doctor(run, of), run, ticks)
    whole = content(run)
    run.metrics_log.path.unlink()
    for tick in ticks:
        watch(doctor(run, of), run, [tick])
    assert content(run) == whole
    assert len(whole["findings"]) == 1


def test_a_run_that_goes_back_forgets_what_came_after(run):
    of = subject()
    made = doctor(run, of)
    watch(made, run, history(of, kimg=range(1, 53), diagnosis__variety=collapsed_from_45_to_52))
    run.metrics_log.cut_after(44_000)
    made.begin()
    assert content(run)["findings"] == []


def test_memory_that_is_too_small_for_measuring_ends_it(run, caplog, monkeypatch):
    made = doctor(run, subject())

    def take(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(made._measurements, "take", take)
    phase = Schedule(subject().config.schedule, 8).phases[0]
    assert made.measure(phase, 1000) == made.measure(phase, 2000) == {}
    assert caplog.text.count("too little memory") == 1


def test_data_that_can_not_be_read_is_not_measured_that_time(run, caplog, monkeypatch):
    made = doctor(run, subject())
    answers = [UserError("record 3 is damaged"), {"diagnosis/variety": 1.0}]

    def take(*_):
        answer = answers.pop(0)
        if isinstance(answer, UserError):
            raise answer
        return answer

    monkeypatch.setattr(made._measurements, "take", take)
    phase = Schedule(subject().config.schedule, 8).phases[0]
    assert made.measure(phase, 1000) == {}
    assert "not measured: record 3 is damaged" in caplog.text
    assert made.measure(phase, 2000) == {"diagnosis/variety": 1.0}


def test_a_check_that_fails_does_not_end_the_run(run, caplog, monkeypatch):
    def fail(ticks, of):
        raise ZeroDivisionError

    broken = dataclasses.replace(CHECKS[0], look=fail, always=True)
    monkeypatch.setattr(doctor_module, "CHECKS", (broken, *CHECKS[1:]))
    of = subject()
    watch(doctor(run, of), run, history(of, kimg=range(1, 50), diagnosis__variety=0.0))
    assert [finding["name"] for finding in content(run)["findings"]] == ["collapse"]
    assert caplog.text.count("not_finite is no longer found: ZeroDivisionError()") == 1


def test_a_file_that_can_not_be_written_does_not_end_the_run(run, caplog):
    run.diagnosis.mkdir()
    of = subject()
    made = doctor(run, of)
    assert len(watch(made, run, history(of, kimg=range(1, 50), diagnosis__variety=0.0))) == 1
    assert "diagnosis.json can't be written" in caplog.text


def test_a_phase_that_has_ended_is_forgotten_but_for_its_end(run):
    of = subject()
    made = doctor(run, of)
    watch(made, run, history(of))
    assert len(made._ticks) == 20 + KEPT_TICKS


def test_the_command_names_the_run(run):
    of = subject()
    (run.path / "config.flags").write_text(to_flagfile(of.config))
    watch(doctor(run, of), run, history(of, kimg=range(1, 50), diagnosis__variety=0.0))
    assert f"--init_from={run.path}" in content(run)["findings"][0]["command"]


def test_a_run_that_is_no_longer_looked_at_keeps_no_findings(run):
    of = subject()
    watch(doctor(run, of), run, history(of, diagnosis__variety=0.05))
    found = run.diagnosis.read_text()
    for _ in range(2):
        NullDoctor(run).begin()
        assert not run.diagnosis.exists()
    doctor(run, of)
    assert run.diagnosis.read_text() == found
