import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgan_tf.config import (
    EvalConfig,
    LossConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    StepKind,
    TrainConfig,
)
from pgan_tf.config.intervals import (
    due_events,
    group_into_calls,
    is_crossed,
    is_measured,
    max_call_length,
    measurement_kimg,
    needs_state,
    steps_per_call,
)
from pgan_tf.config.phases import Schedule
from tests.helpers.histories import subject


@given(st.lists(st.integers(1, 700), min_size=1, max_size=50), st.integers(0, 5000))
def test_an_interval_is_crossed_by_the_step_that_passes_a_multiple_of_it(steps, start):
    seen = start
    for step in steps:
        passed = any(image % 500 == 0 for image in range(seen + 1, seen + step + 1))
        assert is_crossed(0.5, seen, seen + step) == passed
        seen += step
    assert not is_crossed(0.5, seen, seen)


def test_due_events_are_given_by_name():
    config = TrainConfig(run=RunConfig(tick_kimg=0.1, sample_kimg=0.25, checkpoint_kimg=0.5))
    assert due_events(config, 0, 99) == set()
    assert due_events(config, 99, 100) == {"tick"}
    assert due_events(config, 100, 180) == set()
    assert due_events(config, 240, 260) == {"sample"}
    assert due_events(config, 490, 510) == {"tick", "sample", "checkpoint"}


INTERVALS = st.floats(0.004, 0.3, allow_nan=False)


@given(
    st.integers(1, 9),
    st.lists(INTERVALS, min_size=5, max_size=5),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 17),
    st.integers(0, 40),
)
def test_calls_hold_all_steps_in_order_and_end_where_anything_is_due(
    steps_per_call, intervals, discriminator_steps, penalty_interval, batch_size, begun
):
    tick, sample, checkpoint, network, evaluation = intervals
    config = TrainConfig(
        schedule=ScheduleConfig(
            stabilize_kimg=0.05,
            fade_kimg=0.07,
            total_kimg=0.4,
            batch_size=batch_size,
            batch_size_by_resolution={},
        ),
        loss=LossConfig(loss="logistic", penalty_interval=penalty_interval),
        optimizer=OptimizerConfig(
            discriminator_steps=discriminator_steps, ema_update="generator_step"
        ),
        run=RunConfig(
            steps_per_call=steps_per_call,
            tick_kimg=tick,
            sample_kimg=sample,
            checkpoint_kimg=checkpoint,
            network_kimg=network,
        ),
        evaluation=EvalConfig(eval_kimg=evaluation),
    )
    schedule = Schedule(config.schedule, 8)
    steps = list(schedule.steps())
    first = min(begun, len(steps) - 1)  # as when a run is continued
    calls = list(group_into_calls(schedule_from(steps, first), config, on_gpus=True))
    assert [step for call in calls for step, _ in call] == steps[first:]
    assert all(number == steps.index(step) for call in calls for step, number in call)
    alike = []
    for call in calls:
        assert 1 <= len(call) <= steps_per_call
        taken = [step for step, _ in call]
        begin = taken[0].images_seen
        # Nothing is due before its last step is done.
        for step in taken[:-1]:
            assert step.images_seen_after < step.phase.end
            for kimg in intervals:
                assert step.images_seen_after // (1000 * kimg) == begin // (1000 * kimg)
        alike.append({(step.phase, config.step_kind(step.number)) for step in taken})
        assert len(alike[-1]) == 1
    # None is shorter than it has to be, but for those that make a graph.
    made = set()
    for call, following, mine, others in zip(calls, calls[1:], alike, alike[1:], strict=False):
        begin, end = call[0][0].images_seen, following[0][0].images_seen
        due = any(end // (1000 * kimg) > begin // (1000 * kimg) for kimg in intervals)
        if mine <= made:
            assert len(call) == steps_per_call or due or mine != others
        else:
            assert len(call) == 1
        made |= mine
    # Inputs are made for as many steps as a call may have, and no more than may be.
    for call in calls:
        step = call[0][0]
        longest = max_call_length(
            config, step.phase, kind=config.step_kind(step.number), on_gpus=True
        )
        assert len(call) <= longest <= steps_per_call


def schedule_from(steps, first):
    return [(step, number) for number, step in enumerate(steps)][first:]


def test_workers_that_begin_at_the_same_step_group_alike_whatever_they_read():
    config = TrainConfig(run=RunConfig(steps_per_call=8))
    calls = [
        [
            [step for step, _ in call]
            for call in group_into_calls(zip(some, reads, strict=False), config, on_gpus=True)
        ]
        for some, reads in ((steps_of(config), "a" * 500), (steps_of(config), range(500)))
    ]
    assert calls[0] == calls[1]
    # 62.5 steps of 16 images a tick: the 63rd passes it.
    assert [len(call) for call in calls[0][:10]] == [1] + [8] * 7 + [6, 8]


@pytest.mark.parametrize(
    ("steps_per_call", "discriminator_steps", "trains_generator", "tick", "expected"),
    [
        (1, 1, True, 1.0, 1),
        (8, 1, True, 1.0, 8),
        (8, 1, True, 0.065, 5),  # 64 images are not enough
        (8, 1, True, 0.001, 1),
        (8, 5, False, 1.0, 4),
        (8, 5, True, 1.0, 1),
    ],
)
def test_the_longest_call_is_as_long_as_calls_can_get(
    steps_per_call, discriminator_steps, trains_generator, tick, expected
):
    config = TrainConfig(
        optimizer=OptimizerConfig(
            discriminator_steps=discriminator_steps, ema_update="generator_step"
        ),
        run=RunConfig(steps_per_call=steps_per_call, tick_kimg=tick),
    )
    phase = next(steps_of(config)).phase
    longest = max_call_length(config, phase, kind=StepKind(trains_generator), on_gpus=True)
    assert longest == expected


def test_auto_takes_several_steps_a_call_where_they_are_short():
    config = TrainConfig()
    resolutions = [2**k for k in range(2, 11)]
    on_gpus = [steps_per_call(config, resolution, on_gpus=True) for resolution in resolutions]
    assert on_gpus == [8, 8, 8, 8, 4, 2, 1, 1, 1]
    assert {steps_per_call(config, resolution, on_gpus=False) for resolution in resolutions} == {1}
    three = TrainConfig(run=RunConfig(steps_per_call=3))
    assert steps_per_call(three, 1024, on_gpus=True) == 3
    assert steps_per_call(three, 4, on_gpus=False) == 3


def test_the_state_is_needed_by_everything_but_ticks():
    config = TrainConfig(
        schedule=ScheduleConfig(stabilize_kimg=1.6, batch_size_by_resolution={}, batch_size=16),
        run=RunConfig(tick_kimg=0.016, sample_kimg=0.32, checkpoint_kimg=0.8),
        evaluation=EvalConfig(eval_kimg=10.0),
    )
    steps = list(itertools.islice(Schedule(config.schedule, 4).steps(), 100))
    needing = [s.images_seen_after for s in steps if needs_state(config, s, s)]
    assert needing == [320, 640, 800, 960, 1280, 1600]
    assert needs_state(config, steps[18], steps[20])


def steps_of(config):
    schedule = dataclasses.replace(config.schedule, batch_size_by_resolution={}, batch_size=16)
    return Schedule(schedule, 4).steps()


def test_measurements_are_at_ticks_and_as_often_as_they_are_cheap():
    config = subject().config
    schedule = Schedule(config.schedule, 8)
    at_4x4, fade, _ = schedule.phases
    assert measurement_kimg(config, at_4x4) == 2  # 32 of 1280 images, at whole kimg
    often = dataclasses.replace(config.run, tick_kimg=0.3)
    often = dataclasses.replace(config, run=often)
    assert measurement_kimg(often, at_4x4) == pytest.approx(1.5)
    large = dataclasses.replace(at_4x4, batch_size=128)
    assert measurement_kimg(config, large) == 6
    assert measurement_kimg(config, dataclasses.replace(at_4x4, end=600_000)) == 15
    assert measurement_kimg(config, dataclasses.replace(at_4x4, end=9_000_000)) == 20
    measured = [
        step.images_seen_after for step in schedule.steps() if is_measured(config, step, step)
    ]
    assert measured[:2] == [2000, 4000]
    assert not any(fade.start < seen <= fade.end for seen in measured)
    off = dataclasses.replace(config, run=dataclasses.replace(config.run, diagnose=False))
    assert not any(is_measured(off, step, step) for step in schedule.steps())


def test_the_state_is_waited_for_where_it_is_measured():
    config = subject().config
    before, at = list(Schedule(config.schedule, 8).steps())[98:100]
    assert at.images_seen_after == 2000
    assert (needs_state(config, before, before), needs_state(config, at, at)) == (False, True)
