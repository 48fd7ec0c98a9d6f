"""The training images nearest to fakes and to others, and the sheet of them."""

import dataclasses
import weakref

import numpy as np
import pytest
from PIL import Image

from pgan_tf.config.flags import to_flagfile
from pgan_tf.data.held_out import held_out_indices
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import Fakes, GeneratedImages, Reals
from pgan_tf.evaluation.neighbor_sheet import CAVEAT, sheet_path, write_sheet
from pgan_tf.evaluation.neighbors import NeighborFinder, held_out_records, split_data
from pgan_tf.evaluation.reduced_images import area_means
from pgan_tf.metrics import Features, outlines
from pgan_tf.runs.data_note import note_lines
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

COUNT = 60
HELD_OUT = held_out_indices(COUNT, 20)
NONE = np.zeros(0, np.int64)


@pytest.fixture(params=[(64, 3), (8, 1)], ids=["rgb", "grayscale"])
def pyramid(request, tmp_path):
    resolution, channels = request.param
    labels = np.eye(3, dtype=np.float32)[np.arange(COUNT) % 3]
    directory = write_pyramid(
        tmp_path / "data", resolution=resolution, channels=channels, count=COUNT, labels=labels
    )
    return open_pyramid(directory)


def images_of(pyramid, records):
    return pyramid.levels[-1].read(np.asarray(records)).transpose(0, 2, 3, 1)


def fakes_of(pyramid, images, labels=None):
    """Fakes that are given images, one after the other."""
    position = {latents: n for n, latents in enumerate(_first_latents(len(images)))}

    def generate(latents, labels):
        chosen = images[[position[float(z)] for z in latents[:, 0]]]
        return GeneratedImages(chosen, np.ones(len(chosen), bool))

    return Fakes("stub", generate, 1, labels, pyramid.levels[-1].shape[1:], seed=0, batch_size=7)


def _first_latents(count):
    return np.random.default_rng(0).standard_normal([count, 1]).astype(np.float32)[:, 0].tolist()


def finder(pyramid, tmp_path, *, held_out=HELD_OUT, mirror=False, num_images=20, extractor=None):
    return NeighborFinder(
        Reals(PyramidImages(pyramid, pyramid.resolution), seed=0, mirror=mirror),
        held_out,
        num_images=num_images,
        cache=FeatureCache(tmp_path / "cache"),
        extractor=extractor,
    )


def distances(images, others, describe):
    a, b = (describe(each).astype(float) for each in (images, others))
    return np.linalg.norm(a[:, None] - b[None], axis=2)


def pixels(images):
    small = area_means(images, min(32, images.shape[1])).reshape(len(images), -1)
    return small / np.sqrt(small.shape[1])


def small_outlines(images):
    return outlines(area_means(images, min(32, images.shape[1])))


def test_a_generator_of_copies_is_found_out(pyramid, tmp_path):
    found = finder(pyramid, tmp_path)
    copied = found.split.trained[5:25]
    report = found.evaluate(fakes_of(pyramid, images_of(pyramid, copied)))
    for space in ("pixels", "outlines"):
        np.testing.assert_array_equal(report.fakes[space].distances, 0)
        np.testing.assert_array_equal(report.fakes[space].neighbors.indices[:, 0], copied)
        assert report.values[f"neighbors/{space}/ratio"] == 0
        assert report.values[f"neighbors/{space}/below_1_percent"] == 1
        assert report.values[f"neighbors/{space}/below_all"] == 1


def test_other_images_of_the_kind_are_as_far_as_held_out_ones(pyramid, tmp_path, rng):
    images = rng.integers(0, 256, images_of(pyramid, range(20)).shape, dtype=np.uint8)
    values = finder(pyramid, tmp_path).evaluate(fakes_of(pyramid, images)).values
    assert values["neighbors/pixels/ratio"] == pytest.approx(1, abs=0.1)
    assert values["neighbors/pixels/below_all"] < 0.5


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("held_out", [HELD_OUT, NONE], ids=["held out", "none"])
def test_neighbors_are_those_of_brute_force_among_training_images_alone(
    pyramid, tmp_path, rng, mirror, held_out
):
    images = rng.integers(0, 256, images_of(pyramid, range(20)).shape, dtype=np.uint8)
    search = finder(pyramid, tmp_path, held_out=held_out, mirror=mirror)
    report = search.evaluate(fakes_of(pyramid, images))
    trained, others = search.split.trained, search.split.others
    assert not np.intersect1d(trained, held_out).size
    if len(held_out):
        assert set(others) == set(held_out)
    else:
        assert len(trained) == COUNT and len(set(others)) == 20
    reals = images_of(pyramid, trained)
    for queries, records, found in (
        (images, None, report.fakes),
        (images_of(pyramid, others), others, report.others),
    ):
        for space, describe in (("pixels", pixels), ("outlines", small_outlines)):
            expected = distances(queries, reals, describe)
            if mirror:
                flipped = distances(queries[:, :, ::-1], reals, describe)
                mirrored = flipped < expected
                expected = np.minimum(expected, flipped)
            if records is not None:
                expected[records[:, None] == trained[None]] = np.inf
            order = np.argsort(expected, axis=1)[:, :3]
            neighbors = found[space].neighbors
            np.testing.assert_array_equal(neighbors.indices, trained[order])
            np.testing.assert_allclose(
                neighbors.distances, np.take_along_axis(expected, order, axis=1), rtol=1e-5
            )
            if mirror:
                expected_mirrored = np.take_along_axis(mirrored, order, axis=1)
                np.testing.assert_array_equal(found[space].mirrored, expected_mirrored)
            else:
                assert not found[space].mirrored.any()


def test_mirrored_copies_are_found_where_training_mirrors(pyramid, tmp_path):
    copied = np.setdiff1d(np.arange(COUNT), HELD_OUT)[:20]
    fakes = fakes_of(pyramid, images_of(pyramid, copied)[:, :, ::-1])
    report = finder(pyramid, tmp_path, mirror=True).evaluate(fakes)
    np.testing.assert_array_equal(report.fakes["pixels"].distances, 0)
    assert report.fakes["pixels"].mirrored[:, 0].all()
    assert finder(pyramid, tmp_path).evaluate(fakes).values["neighbors/pixels/ratio"] > 0.5


def test_searches_in_blocks_and_groups_find_the_same(pyramid, tmp_path, rng, monkeypatch):
    images = rng.integers(0, 256, images_of(pyramid, range(30)).shape, dtype=np.uint8)
    arguments = {"held_out": NONE, "mirror": True, "num_images": 30}
    whole = finder(pyramid, tmp_path, **arguments).evaluate(fakes_of(pyramid, images))
    monkeypatch.setattr("pgan_tf.evaluation.neighbors._BLOCK", 8)
    monkeypatch.setattr("pgan_tf.evaluation.neighbors._GROUP", 10)
    parts = finder(pyramid, tmp_path, **arguments).evaluate(fakes_of(pyramid, images))
    assert parts.values == pytest.approx(whole.values)
    for space, found in whole.fakes.items():
        np.testing.assert_array_equal(parts.fakes[space].neighbors.indices, found.neighbors.indices)
        np.testing.assert_array_equal(
            parts.others[space].neighbors.indices, whole.others[space].neighbors.indices
        )


def test_images_are_not_kept_while_others_are_generated(pyramid, tmp_path, rng):
    shape, kept = (5, *images_of(pyramid, [0]).shape[1:]), []

    class Counted:
        def read_with_alpha(self, count):
            made = []
            for _ in range(count // 5):
                images = rng.integers(0, 256, shape, dtype=np.uint8)
                made.append(weakref.ref(images))
                yield images
                del images
                kept.append(sum(each() is not None for each in made))

    finder(pyramid, tmp_path, num_images=30).evaluate(Counted())
    assert len(kept) == 6
    assert max(kept) <= 1  # the one that has just been searched


class Means:
    """An extractor: the mean of each channel; of mirrored images it is another."""

    name, digest = "means", "means 1"

    def __init__(self):
        self.seen = 0

    def __call__(self, batch):
        assert batch.shape[3] == 3 and batch.dtype == np.uint8
        self.seen += len(batch)
        weights = np.arange(1, 1 + batch.shape[2])[:, None]
        return Features((batch * weights).mean((1, 2)).astype(np.float32))


def test_an_extractor_takes_the_place_of_outlines_and_its_features_are_kept(pyramid, tmp_path):
    extractor = Means()
    search = finder(pyramid, tmp_path, extractor=extractor)
    copies = fakes_of(pyramid, images_of(pyramid, search.split.trained[:20]))
    report = search.evaluate(copies)
    assert list(report.fakes) == ["pixels", "features"]
    np.testing.assert_array_equal(report.fakes["features"].distances, 0)
    assert report.values["neighbors/features/below_all"] == 1
    assert search.depends_on == "means 1, 20 held out"
    again = Means()
    values = finder(pyramid, tmp_path, extractor=again).evaluate(copies).values
    assert values == report.values
    assert again.seen == extractor.seen - COUNT - 1  # of fakes and of others alone


def test_one_fake_two_training_images_of_4x4_and_no_cache_are_enough(tmp_path):
    data = write_pyramid(tmp_path / "few", resolution=4, channels=3, count=3)
    pyramid = open_pyramid(data)
    search = NeighborFinder(
        Reals(PyramidImages(pyramid, 4), seed=0, mirror=False),
        np.array([1]),
        num_images=1,
        cache=FeatureCache(tmp_path / "cache", keep=False),
        extractor=None,
    )
    fakes = fakes_of(pyramid, images_of(pyramid, [2]))
    report = search.evaluate(fakes)
    assert report.values["neighbors/outlines/below_all"] == 1
    np.testing.assert_array_equal(report.fakes["pixels"].neighbors.indices, [[2, 0]])
    assert not list((tmp_path / "cache").iterdir())
    write_sheet(tmp_path / "sheet.png", search, report, fakes, title="few")
    assert (tmp_path / "sheet.png").exists()


def test_a_split_needs_two_training_images(pyramid):
    with pytest.raises(UserError, match="neighbors needs at least 2 training images. Received: 1"):
        split_data(
            PyramidImages(pyramid, pyramid.resolution), np.arange(1, COUNT), count=10, seed=0
        )


def test_thumbnails_are_the_levels_of_a_pyramid(tmp_path):
    pyramid = open_pyramid(write_pyramid(tmp_path / "p", resolution=64, channels=3, count=5))
    expected = pyramid.level(16).read(np.arange(5)).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(area_means(images_of(pyramid, range(5)), 16), expected)


@pytest.mark.parametrize("changed", [False, True])
def test_images_are_held_out_of_the_data_of_the_run_alone(pyramid, tmp_path, caplog, changed):
    config = tiny_config(pyramid.directory, tmp_path / "run")
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, validation_images=20)
    )
    (tmp_path / "run").mkdir()
    note = [line.replace(f"{COUNT} images", "9 images") for line in note_lines(pyramid)]
    lines = note if changed else note_lines(pyramid)
    (tmp_path / "run" / "config.flags").write_text(to_flagfile(config) + "\n".join(lines))
    data = PyramidImages(pyramid, pyramid.resolution)
    records = held_out_records(tmp_path / "run", config, data)
    np.testing.assert_array_equal(records, NONE if changed else HELD_OUT)
    assert ("is not the data of the run" in caplog.text) == changed
    assert not len(held_out_records(None, None, data))


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [HELD_OUT, NONE], ids=["held out", "none"])
def test_a_sheet_is_drawn_of_fakes_neighbors_and_others(pyramid, tmp_path, held_out, monkeypatch):
    said = []
    monkeypatch.setattr(
        "pgan_tf.evaluation.neighbor_sheet.ImageDraw.ImageDraw.text",
        lambda self, at, text, *_: said.append(text),
    )
    search = finder(pyramid, tmp_path, held_out=held_out, mirror=True)
    labels = np.eye(3, dtype=np.float32)[np.arange(20) % 3]
    copies = images_of(pyramid, search.split.trained[:20])
    fakes = fakes_of(pyramid, copies, labels)
    path = sheet_path(tmp_path, "000001")
    write_sheet(path, search, search.evaluate(fakes), fakes, title="000001")
    with Image.open(path) as image:
        assert image.mode == "RGB" and image.width > 800 and image.height > 800
    text = " ".join(said)
    assert CAVEAT in text
    assert ("held-out images" if len(held_out) else "no images are held out") in text
    assert "and their mirror images" in text
    assert {"fake 0", "class 0", "fake 2", "class 2", "pixels 0", "outlines 0"} <= set(said)
    assert f"#{search.split.trained[0]}" in said
    for record in held_out:
        # As rows of their own, in up to three parts, but never beside a fake.
        assert said.count(f"#{record}") <= 3
