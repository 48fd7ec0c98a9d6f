"""Signs become a finding when they last, and a finding goes when they have gone for as long."""

from pgan_tf.diagnosis.courses import Course
from pgan_tf.diagnosis.findings import Check, Sign, Verdict

SIGN, HEALTHY, UNKNOWN = Sign("seen", "advice"), Verdict.HEALTHY, Verdict.UNKNOWN


def follow(*found, patience=2):
    """Return since when there is a finding, tick by tick; None for no finding."""
    course = Course(Check("name", lambda ticks, of: HEALTHY, patience))
    since = []
    for number, verdict in enumerate(found, 1):
        course.add(number, verdict)
        since.append(course.finding and course.finding.since)
    return since


def test_a_single_sign_is_no_finding():
    assert follow(SIGN, HEALTHY, SIGN, HEALTHY) == [None] * 4


def test_signs_in_a_row_are_one_since_the_first():
    assert follow(SIGN, HEALTHY, SIGN, SIGN, SIGN) == [None, None, None, 3, 3]


def test_ticks_that_cannot_tell_do_not_count():
    assert follow(SIGN, UNKNOWN, UNKNOWN, SIGN, UNKNOWN) == [None, None, None, 1, 1]


def test_a_finding_goes_after_as_many_healthy_ticks():
    assert follow(SIGN, SIGN, HEALTHY, SIGN, HEALTHY, UNKNOWN, HEALTHY) == [
        *(None, 1, 1, 1, 1, 1, None)
    ]


def test_a_finding_can_come_back():
    assert follow(SIGN, SIGN, HEALTHY, HEALTHY, SIGN, SIGN)[-2:] == [None, 5]
