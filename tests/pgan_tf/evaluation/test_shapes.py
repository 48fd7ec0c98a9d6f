"""Rectangles, transparency and 16 bits, through every metric that needs no download."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pgan_tf.config import EvalConfig
from pgan_tf.evaluation.catalog import CATALOG, NEIGHBORS, find_metrics
from pgan_tf.evaluation.evaluator import Evaluator
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import Fakes, GeneratedImages, Reals
from pgan_tf.evaluation.in_training import TrainingEvaluation
from pgan_tf.evaluation.neighbor_sheet import write_sheet
from pgan_tf.evaluation.neighbors import NeighborFinder
from pgan_tf.evaluation.snapshots import Snapshot, check_snapshot, load_fakes
from pgan_tf.metrics.inception import load_inception
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.run_directory import RunDirectory
from tests.helpers.drawn import write_drawn
from tests.helpers.generators import save_tiny_generator
from tests.helpers.small_inception import SmallInception
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.shape import SQUARE, Base

pytestmark = pytest.mark.slow

WIDE = Base(height=4, width=6)
ORDINARY = [n for n, metric in CATALOG.items() if n != NEIGHBORS and not metric.needs_labels]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("shapes")


@pytest.fixture(scope="module")
def rgba(directory):
    """40 transparent images, 24 wide and 16 high."""
    return write_drawn(directory / "rgba")


@pytest.fixture(scope="module")
def deep(directory):
    """40 grayscale images of 16 bits, 16 wide and 24 high."""
    return write_drawn(directory / "deep", size="16x24", channels="gray", bits=16)


@pytest.fixture(scope="module")
def gray_alpha(directory):
    """40 transparent grayscale images, 24 wide and 16 high."""
    return write_drawn(directory / "gray_alpha", channels="gray_alpha")


@pytest.fixture(scope="module")
def inception(directory):
    graph = directory / "small.pb"
    graph.write_bytes(SmallInception().serialized())
    return load_inception(graph)


def reals_of(pyramid):
    return Reals(PyramidImages(pyramid, pyramid.resolution), seed=1, mirror=False)


def stored(pyramid, records=range(40)):
    """Images `[n h w c]` as they are in the pyramid."""
    return pyramid.levels[-1].read(np.array(records)).transpose(0, 2, 3, 1)


def fakes_of(images, size):
    """A generator of given images."""
    position = {}

    def generate(latents, labels):
        chosen = [position.setdefault(float(z), len(position)) for z in latents[:, 0]]
        return GeneratedImages(images[chosen], np.ones(len(chosen), bool))

    return Fakes("stub", generate, 1, None, size, seed=0, batch_size=7)


def on_white(images):
    """In floats, rounded at the end."""
    opacity = images[..., -1:] / 255
    return np.rint(images[..., :-1] * opacity + 255 * (1 - opacity)).astype(np.uint8)


class Brightness:
    """Classifies bright images as nines."""

    name, digest = "brightness", "1"

    def __call__(self, images):
        return images.mean((1, 2)).astype(int) * 10 // 256


def test_reals_are_on_white(rgba):
    reals = reals_of(rgba)
    drawn = np.concatenate(list(reals.read(0, 40)))
    assert drawn.shape == (40, 16, 24, 3) and drawn.dtype == np.uint8
    assert (reals.size, reals.channels) == ((16, 24), 3)
    assert {image.tobytes() for image in drawn} == {i.tobytes() for i in on_white(stored(rgba))}
    assert (stored(rgba)[..., 3] == 0).any()


def test_reals_of_16_bits_are_reduced_to_8(deep):
    drawn = np.concatenate(list(reals_of(deep).read(0, 40)))
    expected = np.rint(stored(deep) / 257).astype(np.uint8)
    assert {image.tobytes() for image in drawn} == {image.tobytes() for image in expected}
    assert stored(deep).max() > 255


@pytest.mark.parametrize("name", ["rgba", "gray_alpha", "deep"])
def test_reals_have_no_distance_from_themselves_by_any_metric(
    name, directory, inception, request, rng
):
    pyramid = request.getfixturevalue(name)
    extractors = {"features": inception}
    if name == "rgba":
        extractors["numbers"] = Brightness()
    metrics = [m for m in ORDINARY if m != "modes" or "numbers" in extractors]
    evaluator = Evaluator(
        find_metrics(metrics),
        reals_of(pyramid),
        num_images=40,
        cache=FeatureCache(directory / "cache"),
        extractors=extractors,
    )
    images = stored(pyramid)
    if name == "deep":
        images = np.rint(images / 257).astype(np.uint8)
    else:
        # Nobody sees the colors of transparent pixels.
        hidden = images[..., -1] == 0
        images[hidden, :-1] = rng.integers(0, 256, [np.count_nonzero(hidden), 1])
    same = evaluator.evaluate(fakes_of(images, images.shape[1:3])).values
    noise = rng.integers(0, 256, images.shape, dtype=np.uint8)[:, ::2, ::2]
    other = evaluator.evaluate(fakes_of(noise, images.shape[1:3])).values
    level = "16x24" if name == "deep" else "24x16"
    assert {key for key in same if key.startswith("swd")} == {f"swd/{level}", "swd/average"}
    # The positions of patches differ between the sets.
    assert same["swd/average"] < 0.5 * other["swd/average"]
    assert same["fid"] == pytest.approx(0, abs=1e-3) and other["fid"] > 0.1
    assert same["precision_recall/f1"] == 1
    assert 0 < same["ms_ssim"] < 1
    assert evaluator.floor().keys() == same.keys()


def test_neighbors_of_copies_are_their_originals(rgba, deep, tmp_path):
    for pyramid, count in ((rgba, 3), (deep, 1)):
        held_out = np.arange(30, 40)
        finder = NeighborFinder(
            reals_of(pyramid),
            held_out,
            num_images=12,
            cache=FeatureCache(tmp_path / f"cache{count}"),
            extractor=None,
        )
        copied = finder.split.trained[4:16]
        images = stored(pyramid, copied)
        if images.dtype != np.uint8:
            images = np.rint(images / 257).astype(np.uint8)
        fakes = fakes_of(images, images.shape[1:3])
        report = finder.evaluate(fakes)
        for space in ("pixels", "outlines"):
            np.testing.assert_array_equal(report.fakes[space].neighbors.indices[:, 0], copied)
            np.testing.assert_array_equal(report.fakes[space].distances, 0)
        write_sheet(tmp_path / "sheet.png", finder, report, fakes, title="copies")
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.mode == "RGB"


def test_thumbnails_of_transparent_copies_are_those_of_the_pyramid(directory):
    pyramid = write_drawn(directory / "large", size="96x64", count=4)
    finder = NeighborFinder(
        reals_of(pyramid),
        np.zeros(0, np.int64),
        num_images=4,
        cache=FeatureCache(directory / "large_cache"),
        extractor=None,
    )
    images = stored(pyramid, range(4))
    report = finder.evaluate(fakes_of(images, (64, 96)))
    # Whatever alpha does between pixels that become one.
    for space in ("pixels", "outlines"):
        np.testing.assert_array_equal(report.fakes[space].distances, 0)


def test_keys_of_squares_stay_and_those_of_other_images_are_their_own(rgba, deep, tmp_path):
    square = open_pyramid(write_pyramid(tmp_path / "square", resolution=16, channels=3))
    keys = []
    for pyramid in (square, rgba, deep):
        metrics = find_metrics(["ms_ssim"])
        cache = FeatureCache(tmp_path / "cache")
        evaluator = Evaluator(metrics, reals_of(pyramid), num_images=20, cache=cache, extractors={})
        keys.append(evaluator._key("similarities", 20, 0, 0))
    assert keys[0] == {
        "format": 1,
        "measurement": "similarities",
        "data": keys[0]["data"],
        "resolution": 16,
        "channels": 3,
        "mirror": False,
        "seed": 1,
        "set": 0,
        "first": 0,
        "count": 20,
    }
    assert (keys[1]["size"], keys[1]["alpha"]) == ("24x16", "on white")
    assert (keys[2]["size"], keys[2]["bits"]) == ("16x24", "16, reduced to 8")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            {"channels": 4, "options": {"base": SQUARE}},
            "draws 16x16, but .*rgba has images of another shape, 24x16",
        ),
        (
            {"channels": 4, "options": {"base": Base(height=6, width=4)}},
            "draws 16x24, but .*rgba has images of another shape, 24x16",
        ),
        ({"channels": 3, "options": {"base": WIDE}}, r"draws 3 channel\(s\), but .*rgba has 4"),
        (
            {"channels": 4, "options": {"base": WIDE}, "resolution": 32},
            "draws 48x32, more than what it is compared with, 24x16 of .*rgba",
        ),
    ],
)
def test_generators_of_other_images_are_refused(rgba, tmp_path, one_device, made, message):
    path = tmp_path / "other.keras"
    made = {"resolution": 16, **made}
    save_tiny_generator(path, **made)
    with pytest.raises(UserError, match=message):
        load_fakes(
            Snapshot(path, None, None),
            reals_of(rgba),
            reals_of(rgba),
            strategy=one_device,
            batch_size=None,
            count=4,
        )


@pytest.mark.parametrize("metric", ["swd", "ms_ssim"])
def test_rectangles_with_a_short_side_below_16_are_refused(directory, metric):
    small = directory / "small"
    pyramid = open_pyramid(small) if small.exists() else write_drawn(small, size="24x8", count=4)
    with pytest.raises(
        UserError, match=f"{metric} needs images of 16x16 or larger. Received: 24x8"
    ):
        cache = FeatureCache(directory / "cache")
        metrics = find_metrics([metric])
        Evaluator(metrics, reals_of(pyramid), num_images=2, cache=cache, extractors={})


def test_larger_images_than_the_datas_are_refused_before_they_are_loaded(rgba, tmp_path):
    path = tmp_path / "large.keras"
    save_tiny_generator(path, description={"resolution": 32}, channels=4)
    with pytest.raises(UserError, match="draws 48x32, more than what it is compared with, 24x16"):
        check_snapshot(Snapshot(path, None, None), reals_of(rgba), reals_of(rgba))


def test_a_rectangular_generator_is_evaluated_in_training_at_any_stage(rgba, tmp_path, one_device):
    config = tiny_config(rgba.directory, tmp_path / "run", channels=4)
    network = dataclasses.replace(config.network, resolution=16, base=WIDE)
    evaluation = EvalConfig(eval_metrics="ms_ssim, swd", best_metric="swd")
    config = dataclasses.replace(config, network=network, evaluation=evaluation)
    run = RunDirectory(Path(config.run.run_dir))
    watched = TrainingEvaluation(config, rgba, run, one_device)
    generator = Generator(config.network, seed=1)
    small = watched.evaluate(generator, resolution=4, alpha=None).values
    fading = watched.evaluate(generator, resolution=16, alpha=0.5).values
    assert set(small) == {"ms_ssim", "ms_ssim/gap", "swd/24x16", "swd/average"}
    assert fading["swd/24x16"] != small["swd/24x16"]
