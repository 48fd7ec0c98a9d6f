"""Flags of pgan-prepare-tfrecords that are made from the sources' declarations."""

import pytest
from absl import flags

from tfrecords_tools.cli.source_flags import check_source_flags, define_source_flags, open_source
from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.registry import SOURCES, find_source, flags_by_source


def parsed(*arguments):
    values = flags.FlagValues()
    define_source_flags(values)
    values(["name", *arguments])
    return values


def checked(*arguments):
    values = parsed(*arguments)
    check_source_flags(find_source(values["source"].value), values)
    return values


def test_every_flag_of_every_source_is_defined_with_its_default():
    values = parsed()
    assert values["source"].default is None
    for name, by_source in flags_by_source().items():
        for spec in by_source.values():
            assert values[name].default == spec.default


def test_choices_are_those_of_all_sources_together():
    values = parsed()
    assert values["labels"].parser.enum_values == ["auto", "none", "folders", "classes"]
    assert values["split"].parser.enum_values == ["train", "test", "extra"]


def test_help_says_which_sources_know_a_flag_and_what_it_means_to_each():
    values = parsed()
    for spec in SOURCES.values():
        assert f"{spec.name}: {spec.description}" in values["source"].help
    for name, by_source in flags_by_source().items():
        for source, spec in by_source.items():
            assert source in values[name].help and spec.note in values[name].help
    assert values["crop"].help.endswith("are errors. Sources: images, tfds.")
    assert "lsun: auto is 256." in values["resolution"].help
    assert "idx, mnist_rgb: a folder, or a file of images." in values["input"].help


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--source=synthetic", "--crop=pad"), "--crop has no meaning for --source=synthetic"),
        (("--source=synthetic", "--crop=center"), "--crop has no meaning for --source=synthetic"),
        (("--source=tfds:x", "--split=test"), "--split has no meaning for --source=tfds:x; leave"),
        (("--source=cifar10", "--split=extra"), "--split must be train or test for --source=cifa"),
        (("--source=images", "--labels=classes"), "--labels must be auto or none or folders for"),
        (("--source=lsun",), "--input is required for --source=lsun"),
        (("--source=lsun", "--input="), "--input is required for --source=lsun"),
    ],
)
def test_flags_that_are_not_the_sources_are_refused(arguments, expected):
    with pytest.raises(UserError) as caught:
        checked(*arguments)
    assert expected in str(caught.value)


def test_the_sources_own_flags_are_accepted():
    checked("--source=synthetic")
    checked("--source=tfds:x")
    checked("--source=svhn", "--input=x", "--split=extra", "--labels=classes", "--noshuffle")


def test_a_source_is_opened_with_parsed_values():
    arguments = ("--source=synthetic", "--resolution=8", "--labels=classes", "--seed=3")
    given = {**checked(*arguments).flag_values_dict(), "num_images": 7}
    source = open_source(SOURCES["synthetic"], given, 1, lambda line: None)
    assert (source.count, source.resolution, source.seed) == (7, 8, 3)
    assert source.label_names is not None
    given = {**checked("--source=synthetic").flag_values_dict(), "num_images": None}
    source = open_source(SOURCES["synthetic"], given, 1, lambda line: None)
    assert (source.count, source.resolution, source.label_names) == (10_000, 64, None)


def refusal(source, *arguments):
    """The error of a source that is opened with wrong values."""
    given = {**checked(f"--source={source}", *arguments).flag_values_dict(), "num_images": 1}
    with pytest.raises(UserError) as caught:
        open_source(find_source(source), given, 1, lambda line: None)
    return str(caught.value)


@pytest.mark.parametrize("text", ["100", "2", "0", "0x0", "0x8", "-8", "8.0", "big", "", "x", "8x"])
def test_a_resolution_must_be_a_size_of_pyramids(text):
    message = refusal("synthetic", f"--resolution={text}")
    assert message.startswith("--resolution must be auto, a power of two from 4, or WIDTHxHEIGHT")
    assert message.endswith(f". Received: {text}")
    assert ("the nearest are 64 and 128" in message) == (text == "100")


def test_the_nearest_rectangles_are_named():
    message = refusal("synthetic", "--resolution=100x60")
    assert "at most 256 in all; the nearest are 104x64 and 96x64. Received" in message


@pytest.mark.parametrize("source", ["lsun", "celebahq"])
@pytest.mark.parametrize("text", ["100", "96x64"])
def test_sources_of_squares_take_no_rectangles(source, text):
    message = refusal(source, "--input=x", f"--resolution={text}")
    assert message.startswith("--resolution must be auto or a power of two from 4, the side of squ")
    assert ("the nearest are 64 and 128" in message) == (text == "100")


@pytest.mark.parametrize("source", ["images", "tfds:x", "synthetic"])
def test_16_bits_are_for_gray(source):
    arguments = ("--bits=16", "--channels=rgb", *(["--input=x"] if source == "images" else []))
    message = refusal(source, *arguments)
    assert message == "--bits=16 needs --channels=gray or auto. Received: --channels=rgb"
