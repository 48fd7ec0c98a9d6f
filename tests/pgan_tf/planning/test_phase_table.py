import pytest

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.planning.phase_table import (
    PhaseRow,
    describe_total,
    format_table,
    readable_duration,
)
from tests.helpers.trials import rows_of

SCHEDULE = Schedule(
    ScheduleConfig(
        stabilize_kimg=10,
        fade_kimg=20,
        total_kimg=100,
        batch_size=16,
        batch_size_by_resolution={4: 32},
        learning_rate_by_resolution={16: 0.002},
    ),
    16,
)


def test_the_table_has_a_line_a_phase_and_the_total():
    rows = [PhaseRow(p, 4, 0.1, 2**30, p.batch_size) for p in SCHEDULE.phases]
    assert rows_of(format_table(rows)) == [
        ["4x4", "stabilize", "32", "8", "0.001", "10", "3.12", "1", "0.000362"],
        ["8x8", "fade", "16", "4", "0.001", "20", "6.25", "1", "0.00145"],
        ["8x8", "stabilize", "16", "4", "0.001", "10", "6.25", "1", "0.000723"],
        ["16x16", "fade", "16", "4", "0.002", "20", "6.25", "1", "0.00145"],
        ["16x16", "stabilize", "16", "4", "0.002", "40", "6.25", "1", "0.00289"],
        ["total", "100", "5.94", "1", "0.00687"],
    ]


def test_the_columns_are_aligned():
    rows = [PhaseRow(p, 1, 0.1, 2**30, p.batch_size) for p in SCHEDULE.phases]
    lines = format_table(rows).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_the_total_counts_a_phase_once_and_with_the_batch_that_fits():
    first, *others = [PhaseRow(p, 1, 0.1, 1.0, p.batch_size) for p in SCHEDULE.phases]
    too_large = PhaseRow(first.phase, 1, None, None, 64, "does not fit")
    total = rows_of(format_table([first, *others]))[-1]
    assert rows_of(format_table([too_large, first, *others]))[-1] == total
    assert rows_of(format_table([too_large, *others]))[-1] == ["total", "100", "-", "9.31e-10", "-"]
    assert describe_total([too_large, *others]) == "in all: unknown"
    assert describe_total([too_large, first, *others]) == describe_total([first, *others])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (40.4, "40 s"),
        (89.6, "90 s"),
        (95, "2 min"),
        (3599, "1 h 0 min"),
        (12_300, "3 h 25 min"),
        (86_399, "1 day 0 h"),
        (100_000, "1 day 4 h"),
        (14.1 * 86_400, "14 days 2 h"),
    ],
)
def test_durations_are_in_units_that_people_read(seconds, text):
    assert readable_duration(seconds) == text
