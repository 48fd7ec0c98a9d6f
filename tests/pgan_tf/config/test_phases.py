import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule

TWO_STAGES = ScheduleConfig(
    stabilize_kimg=1.0,
    fade_kimg=0.5,
    total_kimg=4.0,
    batch_size=10,
    batch_size_by_resolution={4: 20},
    learning_rate_by_resolution={8: 0.002},
)


def test_stages_fade_and_stabilize_in_order():
    phases = Schedule(TWO_STAGES, 8).phases
    assert [(p.resolution, p.fading, p.start, p.end) for p in phases] == [
        (4, False, 0, 1000),
        (8, True, 1000, 1500),
        (8, False, 1500, 4000),
    ]
    assert [p.index for p in phases] == [0, 1, 2]
    assert [p.batch_size for p in phases] == [20, 10, 10]
    assert [p.learning_rate for p in phases] == [0.001, 0.002, 0.002]


@pytest.mark.parametrize(
    ("images_seen", "resolution", "alpha"),
    [(0, 4, 1.0), (999, 4, 1.0), (1000, 8, 0.0), (1250, 8, 0.5), (1499, 8, 0.998), (1500, 8, 1.0)],
)
def test_alpha_rises_linearly_over_the_fade(images_seen, resolution, alpha):
    phase = Schedule(TWO_STAGES, 8).phase_at(images_seen)
    assert phase.resolution == resolution
    assert phase.alpha(images_seen) == pytest.approx(alpha)


def test_the_last_stage_lasts_until_the_end():
    schedule = Schedule(TWO_STAGES, 8)
    steps = list(schedule.steps())
    assert steps[0].images_seen == 0
    assert steps[-1].images_seen_after == schedule.total_images == 4000
    assert schedule.phase_at(10**9) is schedule.phases[-1]


def test_steps_are_numbered_within_their_phase():
    numbers = [(step.phase.index, step.number) for step in Schedule(TWO_STAGES, 8).steps()]
    lengths = (50, 50, 250)
    assert numbers == [(index, i) for index, length in enumerate(lengths) for i in range(length)]


def test_a_batch_larger_than_what_follows_leaves_numbers_consecutive():
    config = ScheduleConfig(
        stabilize_kimg=0.05,
        fade_kimg=0.05,
        total_kimg=0.3,
        batch_size=4,
        batch_size_by_resolution={4: 40},
    )
    fade = [step.number for step in Schedule(config, 8).steps() if step.phase.index == 1]
    assert fade == list(range(7, 7 + len(fade)))  # 4x4 ended 30 images late


def test_the_learning_rate_rises_over_the_first_images_and_falls_over_the_last():
    config = dataclasses.replace(TWO_STAGES, rampup_kimg=0.1, rampdown_kimg=2.0)
    steps = list(Schedule(config, 8).steps())
    rates = {step.images_seen: step.learning_rate for step in steps}
    t = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    expected = 0.001 * np.exp(-5 * (1 - t) ** 2)
    assert [rates[seen] for seen in range(0, 101, 20)] == pytest.approx(expected)
    assert rates[980] == 0.001
    assert [rates[seen] for seen in (1000, 2000, 2500, 3000, 3990)] == pytest.approx(
        [0.002, 0.002, 0.0015, 0.001, 0.00001]
    )


def test_a_run_that_ends_early_leaves_later_stages_out():
    phases = Schedule(ScheduleConfig(total_kimg=700), 1024).phases
    assert [(p.resolution, p.end) for p in phases] == [(4, 600_000), (8, 700_000)]


def test_a_run_that_ends_within_a_fade_fades_as_a_longer_one_would():
    short, whole = (Schedule(ScheduleConfig(total_kimg=kimg), 1024) for kimg in (700, 15000))
    for images_seen in (600_000, 650_000, 699_999):
        alpha = short.phase_at(images_seen).alpha(images_seen)
        assert alpha == whole.phase_at(images_seen).alpha(images_seen)
        assert alpha == pytest.approx((images_seen - 600_000) / 600_000)


def test_without_fades_and_early_stages_training_starts_at_full_resolution():
    config = ScheduleConfig(start_resolution=128, stabilize_kimg=0, fade_kimg=0, total_kimg=100)
    (phase,) = Schedule(config, 128).phases
    assert (phase.resolution, phase.fading, phase.end) == (128, False, 100_000)


def test_the_papers_schedule_fades_1024_in_by_9600_kimg():
    schedule = Schedule(ScheduleConfig(), 1024)
    last = schedule.phases[-1]
    assert (last.resolution, last.start, last.end) == (1024, 9_600_000, 15_000_000)


@given(
    st.floats(0, 2),
    st.floats(0, 2),
    st.floats(0.1, 9),
    st.integers(1, 64),
    st.integers(2, 5),
    st.integers(0, 9000),
)
def test_steps_continue_exactly_where_they_were_interrupted(
    stabilize, fade, total, batch, resolution_log2, at
):
    config = ScheduleConfig(
        stabilize_kimg=stabilize, fade_kimg=fade, total_kimg=total, batch_size=batch
    )
    schedule = Schedule(config, 2**resolution_log2)
    steps = list(schedule.steps())
    for before, after in itertools.pairwise(steps):
        assert after.images_seen == before.images_seen_after
        assert after.phase.index >= before.phase.index
    middle = min(at // batch, len(steps) - 1)
    assert list(schedule.steps(steps[middle].images_seen)) == steps[middle:]
    for first, second in itertools.pairwise(schedule.phases):
        assert first.end == second.start
    assert schedule.phases[-1].end == schedule.total_images
