"""The size at which two sets are compared, and the size that is suggested where there is none."""

import numpy as np
import pytest

from pgan_tf.evaluation.sizes import Side, choose_size, fit_survey, parse_resolution
from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.files import FolderFiles
from tfrecords_tools.image_files.survey import Survey

LEVELS = [(32, 32), (16, 16), (8, 8), (4, 4)]


def files(path, *sizes):
    """Image files of these heights and widths."""
    names = tuple(f"{number}.png" for number in range(len(sizes)))
    nothing = np.zeros(len(sizes), bool)
    survey = Survey(
        FolderFiles(path, names, 0),
        np.arange(len(sizes)),
        np.array(sizes),
        nothing,
        nothing,
        (b"",) * len(sizes),
        0,
    )
    return Side("network", path, survey=survey)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((LEVELS, LEVELS), (32, 32)),
        ((LEVELS[1:], LEVELS), (16, 16)),
        ((LEVELS, LEVELS[2:]), (8, 8)),
        (((16, 16), LEVELS), (16, 16)),
        ((LEVELS, (8, 8)), (8, 8)),
        (((30, 45), (30, 45)), (30, 45)),
    ],
)
def test_the_largest_size_that_both_have_is_taken(tmp_path, sides, expected):
    fakes, reals = (
        Side("data_dir", tmp_path, side) if isinstance(side, list) else files(tmp_path, side, side)
        for side in sides
    )
    assert choose_size(fakes, reals, None) == expected


@pytest.mark.parametrize(
    ("fakes", "reals", "message"),
    [
        (
            [(48, 48)],
            LEVELS,
            r"images of 48x48, but .* has 32x32; --resolution=32 crops and scales",
        ),
        ([(20, 40)], LEVELS, r"images of 40x20, but .* has 32x32; --resolution=16 crops"),
        ([(3, 9)], LEVELS, r"images of 9x3, but .* has 32x32; images are not enlarged, and 9x3"),
        (
            [(20, 30), (30, 20)],
            LEVELS,
            r"several sizes, such as 30x20 \(0.png\) and 20x30 \(1.png\), but .*--resolution=16 ",
        ),
        ([(24, 16)], [(6, 4)], r"images of 16x24, but .* images of 4x6; --resolution=4x6 crops"),
        ([(48, 48)], [(32, 64)], r"images of 48x48, but .* images of 64x32; --resolution=32 crops"),
        ([(90, 60), (48, 48)], [(45, 30)], r"but .* images of 30x45; --resolution=30x45 crops"),
        ([(9, 9), (7, 8)], [(9, 5)], r"but .* images of 5x9; --resolution=4 crops and"),
    ],
)
def test_a_size_is_suggested_to_which_no_file_is_enlarged(tmp_path, fakes, reals, message):
    files_of_data = files(tmp_path / "reals", *reals)
    data = Side("data_dir", tmp_path / "reals", reals) if reals is LEVELS else files_of_data
    with pytest.raises(UserError, match=message) as error:
        choose_size(files(tmp_path / "fakes", *fakes), data, None)
    suggested = str(error.value).partition("--resolution=")[2].split(" ")[0]
    if suggested:
        size = parse_resolution(suggested)
        for side in (files(tmp_path, *fakes), data):
            assert side.survey is None or fit_survey(side.survey, size, skip_bad_images=False)


def test_pyramids_of_other_shapes_are_refused(tmp_path):
    with pytest.raises(UserError, match="a: has 24x16, but .*b has images of another shape"):
        choose_size(
            Side("network", tmp_path / "a", [(16, 24), (4, 6)]),
            Side("data_dir", tmp_path / "b", LEVELS),
            None,
        )


@pytest.mark.parametrize("text", ["", "x", "0", "12x", "-4", "16x0", "1e3"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError, match="--resolution must be auto, a number N for images of NxN"):
        parse_resolution(text)


def test_sizes_are_typed_with_the_width_first():
    assert parse_resolution("96x64") == (64, 96)
    assert parse_resolution("64") == (64, 64)
    assert parse_resolution("auto") is None
