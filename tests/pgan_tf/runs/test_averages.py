import numpy as np
import pytest

import pgan_tf
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.averages import averages_path, save_averages
from pgan_tf.runs.saved_generator import GeneratorDescription, as_keras_model, save_generator
from pgan_tf.step.power_average import PowerAverage, exponent_of
from tests.helpers.tiny import tiny_config
from tfrecords_tools.errors import UserError

ENDS = range(1000, 11_000, 1000)


def weights_at(name, shape, images_seen):
    """Return weights that are polynomials of the images seen, other ones by name."""
    rng = np.random.default_rng(len(name))
    x = images_seen / 10_000
    return sum(rng.normal(size=shape) * x**k for k in range(4)).astype("f4")


def average_at(name, shape, end, length):
    """Return the average of these weights over images, in closed form."""
    rng = np.random.default_rng(len(name))
    p, x = exponent_of(length) + 1, end / 10_000
    return sum(rng.normal(size=shape) * x**k * p / (p + k) for k in range(4))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A directory of generators at 8x8 and of their averages, at ten points of a run."""
    directory = tmp_path_factory.mktemp("run")
    (directory / "networks").mkdir()
    generator = Generator(tiny_config().network, seed=1, dtype="float32")
    model = as_keras_model(generator, resolution=8, alpha=None)
    averages = [PowerAverage(length, generator.variables) for length in (0.05, 0.1)]
    for end in ENDS:
        path = directory / "networks" / f"generator-{end // 1000:06d}.keras"
        for average in averages:
            for name, variable in average.variables.items():
                variable.assign(average_at(name, variable.shape, end, average.length))
        save_averages(averages_path(path), averages, images_seen=end)
        for name, variable in generator.variables.items():
            variable.assign(weights_at(name, variable.shape, end))
        save_generator(path, model, GeneratorDescription(images_seen=end))
    return directory


def largest_difference(model, end, length):
    return max(
        np.abs(w.numpy() - average_at(w.path, w.shape, end, length)).max() for w in model.weights
    )


@pytest.mark.parametrize(("length", "tolerance"), [(0.05, 1e-6), (0.07, 2e-3), (0.15, 5e-3)])
def test_an_average_of_any_length_at_the_newest_generator(run, length, tolerance):
    model = pgan_tf.load_generator(run, ema_length=length)
    assert largest_difference(model, 10_000, length) < tolerance
    assert largest_difference(model, 10_000, 0.03) > 5 * tolerance


def test_an_average_at_an_older_generator_takes_no_later_weights(run):
    older = run / "networks" / "generator-000006.keras"
    model = pgan_tf.load_generator(older, ema_length=0.08)
    assert largest_difference(model, 6000, 0.08) < 5e-3


def test_a_length_that_was_stored_takes_the_weights_of_no_other_file(run, tmp_path):
    path = run / "networks" / "generator-000003.keras"
    for file in (path, averages_path(path)):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    without_weights = {"lengths": np.array([0.05, 0.1]), "images_seen": np.array(2000)}
    np.savez(tmp_path / "averages-000002.npz", **without_weights)
    model = pgan_tf.load_generator(tmp_path / path.name, ema_length=0.1)
    assert largest_difference(model, 3000, 0.1) < 1e-6


@pytest.mark.parametrize("length", [0.0, 0.3, -1.0, float("nan")])
def test_lengths_out_of_range_are_refused(run, length):
    with pytest.raises(UserError, match=r"--ema_length must be above 0, up to 0.28. Received: "):
        pgan_tf.load_generator(run, ema_length=length)


def test_a_run_without_averages_is_refused(run, tmp_path):
    path = run / "networks" / "generator-000003.keras"
    (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="--ema_lengths=0.05,0.1 .* there are none at 3000 images"):
        pgan_tf.load_generator(tmp_path / path.name, ema_length=0.05)


def test_too_few_averages_are_refused(run, tmp_path):
    path = run / "networks" / "generator-000003.keras"
    for file in (path, averages_path(path)):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match=r"0.05, 0.1 in 1 file.* would be \d\d% off"):
        pgan_tf.load_generator(tmp_path / path.name, ema_length=0.2)


def damaged(path, way):
    if way == "cut":
        path.write_bytes(path.read_bytes()[:-500])
    elif way == "no archive":
        path.write_bytes(b"nothing")
    elif way == "a bit":
        content = bytearray(path.read_bytes())
        content[content.index(b"4x4_conv/kernel") + 400] ^= 1
        path.write_bytes(content)
    else:
        with np.load(path) as file:
            arrays = dict(file)
        arrays |= way
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


NAME = "0/4x4_conv/kernel"


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("cut", "not a .npz file, or damaged"),
        ("no archive", "not a .npz file, or damaged"),
        ("a bit", "not a .npz file, or damaged: Bad CRC"),
        ({NAME: None}, f"there is no {NAME} in it"),
        ({NAME: np.zeros(3, "f4")}, f"{NAME} in it must be float32"),
        ({NAME: np.zeros([3, 3, 8, 8])}, f"{NAME} in it must be float32"),
        ({NAME: np.array([{}])}, f"{NAME} in it: damaged: it holds Python objects"),
        ({NAME: np.full([3, 3, 8, 8], np.nan, "f4")}, "must be finite. Received: NaN"),
        ({"lengths": np.array([0.05, 7.0])}, "damaged"),
        ({"lengths": np.array([])}, "damaged"),
        ({"lengths": None}, "there is no lengths in it"),
        ({"images_seen": np.array([1, 2])}, "damaged"),
        ({"images_seen": np.array(-5)}, "damaged"),
    ],
)
def test_a_damaged_file_is_refused(run, tmp_path, way, message):
    path = run / "networks" / "generator-000003.keras"
    for file in (path, averages_path(path)):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    damaged(averages_path(tmp_path / path.name), way)
    with pytest.raises(UserError, match=message):
        pgan_tf.load_generator(tmp_path / path.name, ema_length=0.05)
