"""Training steps of phases, made when they are asked for or before that, in another thread."""

import threading
import time
import types

import pytest
import tensorflow as tf

from pgan_tf.config import FULL_STEP, OptimizerConfig, ScheduleConfig, StepKind, TrainConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.distribution.cluster import Cluster
from pgan_tf.training import phase_graphs
from pgan_tf.training.phase_graphs import PhaseGraphs
from tfrecords_tools.errors import UserError


class FakeStep:
    def __init__(self, phase, kind, fails=False, compiles=None):
        self.key = (phase.index, kind)
        self.prepared_by = self.prepared_with = self.compiled_by = None
        self.fails, self.compiles = fails, compiles

    def prepare(self, inputs):
        if self.fails:
            raise UserError("does not fit")
        self.prepared_by, self.prepared_with = threading.get_ident(), inputs

    def compile_ahead(self):
        if self.compiles:
            self.compiles()
        self.compiled_by = threading.get_ident()


@pytest.fixture
def make_graphs():
    """Return a function that makes `PhaseGraphs` of phases 0 (4x4), 1 and 2 (8x8), and a list.

    The list is of the steps in the order in which they are made.
    """
    opened = []

    def make(*, ahead=True, fails=(), compiles=None, **optimizer):
        schedule = ScheduleConfig(stabilize_kimg=1.0, fade_kimg=1.0, total_kimg=3.0)
        run = types.SimpleNamespace(
            schedule=Schedule(schedule, 8),
            config=TrainConfig(optimizer=OptimizerConfig(**optimizer)),
        )
        made = []

        def make_step(phase, kind):
            made.append(FakeStep(phase, kind, phase.index in fails, compiles))
            return made[-1]

        graphs = PhaseGraphs(run, make_step, lambda phase, kind: (phase.index, kind), ahead=ahead)
        opened.append(graphs)
        return graphs, run.schedule.phases, made

    yield make
    for graphs in opened:
        graphs.close()


def test_the_next_phase_is_prepared_by_another_thread(make_graphs):
    graphs, phases, made = make_graphs()
    first = graphs.get(phases[0], FULL_STEP)
    assert first.prepared_by is None
    graphs.prepare_next(phases[0])
    graphs.prepare_next(phases[0])
    assert not graphs.is_used(phases[1], FULL_STEP)
    second = graphs.get(phases[1], FULL_STEP)
    assert second.prepared_by not in (None, threading.get_ident())
    assert second.prepared_with == (1, FULL_STEP)
    assert second.compiled_by == second.prepared_by
    assert graphs.get(phases[1], FULL_STEP) is second
    assert [step.key for step in made] == [(0, FULL_STEP), (1, FULL_STEP)]


def test_steps_without_the_generator_are_prepared_first_where_they_come_first(make_graphs):
    graphs, phases, made = make_graphs(discriminator_steps=3, ema_update="generator_step")
    graphs.prepare_next(phases[0])
    graphs.get(phases[1], FULL_STEP)
    assert [step.key for step in made] == [(1, StepKind(trains_generator=False)), (1, FULL_STEP)]


def test_a_training_step_is_forgotten_when_the_next_phase_begins(make_graphs):
    graphs, phases, _ = make_graphs()
    first = graphs.get(phases[0], FULL_STEP)
    graphs.get(phases[1], FULL_STEP)
    assert not graphs.is_used(phases[0], FULL_STEP)
    # As after going back to a checkpoint.
    assert graphs.get(phases[0], FULL_STEP) is not first


def test_an_error_is_raised_when_the_phase_begins(make_graphs):
    graphs, phases, _ = make_graphs(fails={1})
    graphs.get(phases[0], FULL_STEP)
    graphs.prepare_next(phases[0])
    graphs.get(phases[0], FULL_STEP)
    with pytest.raises(UserError, match="does not fit"):
        graphs.get(phases[1], FULL_STEP)


def test_a_phase_that_cannot_be_compiled_ahead_is_compiled_when_it_begins(make_graphs, caplog):
    def compiles():
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory\nand more")

    graphs, phases, _ = make_graphs(compiles=compiles)
    graphs.prepare_next(phases[0])
    assert graphs.get(phases[1], FULL_STEP).prepared_with == (1, FULL_STEP)
    assert caplog.messages == ["8x8 fade is compiled only when it begins: out of memory"]


def test_a_phase_is_not_compiled_ahead_where_memory_is_short(make_graphs, monkeypatch):
    monkeypatch.setattr(phase_graphs, "has_gpu_memory_for", lambda factor: False)
    graphs, phases, _ = make_graphs()
    graphs.prepare_next(phases[0])
    assert graphs.get(phases[1], FULL_STEP).compiled_by is None


def test_the_time_of_compiling_ahead_is_told(make_graphs):
    graphs, phases, _ = make_graphs(compiles=lambda: time.sleep(0.05))
    graphs.prepare_next(phases[0])
    graphs.get(phases[1], FULL_STEP)
    assert 0.05 <= graphs.seconds_ahead(phases[1], FULL_STEP) < 5
    assert graphs.seconds_ahead(phases[0], FULL_STEP) == 0


def test_the_end_of_a_run_waits_for_a_compilation_and_says_so(make_graphs, capsys):
    began, ends = threading.Event(), threading.Event()

    def compiles():
        began.set()
        ends.wait()

    graphs, phases, made = make_graphs(compiles=compiles)
    graphs.prepare_next(phases[0])
    began.wait()
    threading.Timer(0.1, ends.set).start()
    graphs.close()
    assert made[-1].compiled_by is not None
    assert "waiting for the preparation of the next phase" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("workers", "on_gpus", "cores", "expected"),
    [(1, True, 2, True), (1, False, 4, False), (1, False, 8, True), (2, True, 8, False)],
)
def test_the_next_phase_is_prepared_where_cores_are_left(
    monkeypatch, workers, on_gpus, cores, expected
):
    monkeypatch.setattr(phase_graphs, "is_on_gpus", lambda strategy: on_gpus)
    monkeypatch.setattr(phase_graphs, "core_count", lambda: cores)
    run = types.SimpleNamespace(cluster=Cluster(0, workers), strategy=None)
    assert phase_graphs.prepares_ahead(run) == expected


@pytest.mark.parametrize(("ahead", "phase"), [(False, 0), (True, 2)])
def test_nothing_is_prepared_where_not_wanted_and_after_the_last_phase(make_graphs, ahead, phase):
    graphs, phases, made = make_graphs(ahead=ahead)
    graphs.prepare_next(phases[phase])
    graphs.close()
    assert made == []
