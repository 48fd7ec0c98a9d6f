"""The commonest reasons among many."""

from tfrecords_tools.image_files.reasons import common_reasons


def test_reasons_are_counted_whatever_their_numbers_and_the_commonest_come_first():
    reasons = ["is damaged", "is 3x5 pixels", "is 7x2 pixels", "is gone", "is red", "is blue"]
    expected = "2: is 3x5 pixels; 1: is damaged; 1: is gone; 2: other reasons"
    assert common_reasons(reasons) == expected
