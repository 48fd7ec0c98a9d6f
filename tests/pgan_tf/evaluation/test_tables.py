import dataclasses

import pytest

from pgan_tf.evaluation.tables import format_figure, format_value, table
from tests.helpers.results import EARLIER, RESULT, SPREAD


def test_one_generator_has_a_row_per_value_and_the_floor_beside_it():
    assert table([RESULT]).splitlines() == [
        "         000150  floor",
        "swd/16    12.35    1.5",
        "ms_ssim    0.25   0.26",
    ]


def test_several_generators_have_a_row_each_and_the_floor_below():
    assert table([EARLIER, RESULT]).splitlines() == [
        "        swd/16  ms_ssim",
        "000020   12.35     0.25",
        "000150   12.35     0.25",
        "floor      1.5     0.26",
    ]


def test_one_generator_has_the_spread_beside_its_values():
    assert table([dataclasses.replace(SPREAD, spread={"swd/16": 0.3})]).splitlines() == [
        "              000150  floor",
        "swd/16   12.35 ± 0.3    1.5",
        "ms_ssim         0.25   0.26",
    ]


def ranked(value, spread, label, name="fid"):
    spreads = {} if spread is None else {name: spread}
    return dataclasses.replace(RESULT, label=label, values={name: value}, floor={}, spread=spreads)


def test_generators_that_differ_by_less_than_the_spread_of_both_are_all_marked():
    results = [
        ranked(10.0, 0.3, "a"),
        ranked(10.49, 0.4, "b"),
        ranked(10.51, 0.4, "c"),
        ranked(float("nan"), None, "d"),
    ]
    *lines, legend = table(results).splitlines()
    assert [line.rsplit(" ", 1)[-1] == "*" for line in lines] == [0, 1, 1, 0, 0]
    assert lines[1:3] == ["a  10.00 ± 0.3 *", "b  10.49 ± 0.4 *"]
    assert legend.startswith("* the best, and those that differ from it by no more than the spread")
    assert legend.endswith("; that of d is not known")


def test_the_highest_is_the_best_where_higher_is_better():
    name = "precision_recall/f1"
    results = [ranked(value, 0.01, str(value), name) for value in (0.5, 0.71, 0.7)]
    assert [line.endswith(" *") for line in table(results).splitlines()] == [0, 0, 1, 1, 0]


def test_without_spreads_the_best_alone_is_marked():
    *lines, legend = table([ranked(3.0, None, "a"), ranked(2.9, None, "b")]).splitlines()
    assert [line.endswith(" *") for line in lines] == [False, False, True]
    assert legend == "* the best, by spreads that are not known"


@pytest.mark.parametrize(
    ("spread", "text"),
    [(0.4212, "12.35 ± 0.42"), (25.3, "12.35 ± 25"), (None, "12.35"), (float("nan"), "12.35")],
)
def test_spreads_have_two_digits(spread, text):
    assert format_figure(12.3456, spread) == text


@pytest.mark.parametrize(
    ("value", "text"), [(123.456, "123.46"), (1.23456, "1.235"), (0.000123456, "0.0001235")]
)
def test_values_are_rounded_for_people(value, text):
    assert format_value(value) == text
