"""The choice of images, by numbers, classes and seed."""

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.inspection.selection import caption, select_images


@pytest.fixture
def pyramid(write, array_source, random_images):
    labels = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    source = array_source(
        random_images(12, 1, 4), labels, shuffled=False, label_names=("cat", "dog", "owl")
    )
    return open_pyramid(write(source))


@pytest.mark.parametrize(
    ("images", "label", "limit", "expected"),
    [
        (None, None, None, list(range(12))),
        ("3", None, None, [3]),
        ("5,0-2, 11", None, None, [5, 0, 1, 2, 11]),
        (None, "dog", None, [1, 4, 7, 10]),
        (None, "2", None, [2, 5, 8, 11]),
        ("0-5", "cat", None, [0, 3]),
        (None, "cat", 2, [0, 3]),
        (None, None, 100, list(range(12))),
    ],
)
def test_images_are_chosen_by_number_class_and_limit(pyramid, images, label, limit, expected):
    assert select_images(pyramid, images, label, limit, None).tolist() == expected


def test_a_seed_chooses_at_random_the_same_every_time(pyramid):
    chosen = [select_images(pyramid, None, None, 5, seed).tolist() for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(sorted(set(numbers)) == numbers and len(numbers) == 5 for numbers in chosen)


@pytest.mark.parametrize(
    ("images", "label", "expected"),
    [
        ("12", None, "--images must be within 0-11. Received: 12"),
        ("5-2", None, "--images must be within 0-11. Received: 5-2"),
        ("a", None, "numbers and ranges like 0-9,17. Received: a"),
        ("-1", None, "numbers and ranges"),
        ("", None, "numbers and ranges"),
        (None, "cow", "--label must be one of cat, dog, owl. Received: cow"),
        (None, "3", "--label must be one of"),
        ("0", "owl", "no image is chosen"),
    ],
)
def test_an_empty_choice_is_an_error(pyramid, images, label, expected):
    with pytest.raises(UserError) as caught:
        select_images(pyramid, images, label, None, None)
    assert expected in str(caught.value)


def test_a_class_without_labels_is_an_error(write, array_source, random_images):
    pyramid = open_pyramid(write(array_source(random_images(2, 1, 4))))
    with pytest.raises(UserError, match=r"--label: .* has no labels"):
        select_images(pyramid, None, "cat", None, None)
    assert caption(pyramid, 1) == "1"


def test_captions_are_number_and_class(pyramid):
    assert caption(pyramid, 4) == "4: dog"
