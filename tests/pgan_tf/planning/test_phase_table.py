from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.planning.phase_table import PhaseRow, format_table
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
