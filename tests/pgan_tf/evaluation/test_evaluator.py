import numpy as np
import pytest

from pgan_tf import metrics
from pgan_tf.evaluation import images
from pgan_tf.evaluation.catalog import find_metrics
from pgan_tf.evaluation.evaluator import Evaluator
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import Fakes, GeneratedImages, Reals
from pgan_tf.metrics import Features
from pgan_tf.metrics.features import FunctionExtractor
from pgan_tf.runs.grids import to_uint8
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

# Images that each extractor gets before any work.
_TRIAL = 2


class Means:
    """An extractor: the mean of each channel."""

    name, digest = "means", "1"

    def __init__(self, classifies=True):
        self.seen = []
        self.classifies = classifies

    def __call__(self, batch):
        assert batch.shape[3] == 3 and batch.dtype == np.uint8
        self.seen.append(len(batch))
        means = batch.mean((1, 2)).astype(np.float32)
        return Features(means, means / 50 if self.classifies else None)


@pytest.fixture
def pyramid(tmp_path):
    return open_pyramid(write_pyramid(tmp_path / "data", resolution=16, channels=3, count=40))


def evaluator(pyramid, cache, names=("swd", "ms_ssim"), *, num_images=20, extractor=None):
    reals = Reals(PyramidImages(pyramid, pyramid.resolution), seed=1, mirror=False)
    return Evaluator(
        find_metrics(names),
        reals,
        num_images=num_images,
        cache=FeatureCache(cache),
        extractors={"features": extractor} if extractor else {},
    )


def noise(channels=3):
    """A generator of noise of half the size."""

    def generate(latents, labels):
        seeds = (np.abs(latents[:, 0]) * 1e6).astype(int)
        images = [np.random.default_rng(s).uniform(-1, 1, [8, 8, channels]) for s in seeds]
        return GeneratedImages(to_uint8(np.stack(images)), np.ones(len(images), bool))

    return Fakes("noise", generate, 4, None, size=(16, 16), seed=1, batch_size=7)


def test_values_are_those_of_the_metrics_themselves(pyramid, tmp_path):
    found = evaluator(pyramid, tmp_path / "cache").evaluate(noise()).values
    reals = np.concatenate(
        list(Reals(PyramidImages(pyramid, 16), seed=1, mirror=False).read(0, 20))
    )
    fakes = np.concatenate(list(noise().read(20)))
    patches = []
    for batch, seed in ((reals, 3), (fakes, 5)):
        sampler = metrics.PatchSampler(20, (16, 16), 3, seed=seed)
        sampler.add(batch)
        patches.append(sampler.finish())
    expected = metrics.swd(*patches, channels=3, seed=1)
    assert found["swd/16"] == pytest.approx(expected["16"], rel=1e-5)
    similar = [metrics.ms_ssim(batch[::2], batch[1::2]).mean() for batch in (fakes, reals)]
    assert found["ms_ssim"] == pytest.approx(similar[0])
    assert found["ms_ssim/gap"] == pytest.approx(abs(similar[0] - similar[1]))


def test_reals_of_two_halves_are_the_floor_and_are_closer_than_noise(pyramid, tmp_path):
    compared = evaluator(pyramid, tmp_path / "cache")
    floor, fakes = compared.floor(), compared.evaluate(noise()).values
    assert set(floor) == set(fakes)
    assert floor["swd/average"] < 0.8 * fakes["swd/average"]
    assert floor["ms_ssim/gap"] < fakes["ms_ssim/gap"]


def test_the_floor_takes_fewer_images_where_the_data_has_few(pyramid, tmp_path):
    extractor = Means()
    compared = evaluator(pyramid, tmp_path, ["fid"], num_images=30, extractor=extractor)
    assert compared.floor_images == {"fid": 20}
    found = compared.floor()["fid"]
    assert sum(extractor.seen) == _TRIAL + 30 + 20
    reals = Reals(PyramidImages(pyramid, 16), seed=1, mirror=False)
    halves = [np.concatenate(list(reals.read(first, 20))).mean((1, 2)) for first in (0, 20)]
    statistics = [metrics.feature_statistics(half) for half in halves]
    assert found == pytest.approx(metrics.frechet_distance(*statistics), rel=1e-4)


def test_features_of_reals_are_extracted_once_even_by_two_processes(pyramid, tmp_path, monkeypatch):
    first = evaluator(pyramid, tmp_path / "cache")
    before = first.evaluate(noise()).values
    floor = first.floor()

    def refuse(self, first, count):
        raise AssertionError("reals are read again")

    monkeypatch.setattr(images.Reals, "read", refuse)
    assert first.evaluate(noise()).values == before
    second = evaluator(pyramid, tmp_path / "cache")
    assert second.evaluate(noise()).values == before
    assert second.floor() == floor


@pytest.mark.parametrize("changed", ["seed", "mirror", "num_images", "extractor"])
def test_features_of_reals_are_extracted_again_if_anything_differs(pyramid, tmp_path, changed):
    seen = []
    for again in (False, True):
        extractor = Means()
        if again and changed == "extractor":
            extractor.digest = "2"
        reals = Reals(
            PyramidImages(pyramid, 16),
            seed=2 if again and changed == "seed" else 1,
            mirror=again and changed == "mirror",
        )
        compared = Evaluator(
            find_metrics(["fid"]),
            reals,
            num_images=21 if again and changed == "num_images" else 20,
            cache=FeatureCache(tmp_path / "cache"),
            extractors={"features": extractor},
        )
        compared.evaluate(noise())
        seen.append(sum(extractor.seen))
    assert seen == [_TRIAL + 40, _TRIAL + (42 if changed == "num_images" else 40)]


def test_features_are_extracted_once_for_all_their_metrics(pyramid, tmp_path):
    extractor = Means()
    names = ["fid", "is", "kid", "precision_recall"]
    values = evaluator(pyramid, tmp_path, names, extractor=extractor).evaluate(noise()).values
    assert sum(extractor.seen) == _TRIAL + 40
    assert {name.split("/")[0] for name in values} == set(names)


def test_numbers_are_read_by_a_classifier_of_digits(pyramid, tmp_path):
    class Brightness:
        """Classifies bright images as nines."""

        name, digest = "brightness", "1"

        def __call__(self, images):
            return images.mean((1, 2)).astype(int) * 10 // 256

    compared = Evaluator(
        find_metrics(["modes"]),
        Reals(PyramidImages(pyramid, 16), seed=1, mirror=False),
        num_images=20,
        cache=FeatureCache(tmp_path / "cache"),
        extractors={"numbers": Brightness()},
    )
    fakes = np.concatenate(list(noise().read(20)))
    digits = Brightness()(fakes.transpose(0, 3, 1, 2).reshape(60, 16, 16)).reshape(20, 3)
    assert compared.evaluate(noise()).values["modes/hit"] == len({tuple(row) for row in digits})


def test_grayscale_becomes_rgb_for_features(tmp_path):
    gray = open_pyramid(write_pyramid(tmp_path / "gray", resolution=16, channels=1))
    values = (
        evaluator(gray, tmp_path, ["fid"], extractor=Means()).evaluate(noise(channels=1)).values
    )
    assert values["fid"] > 0


def test_without_a_number_each_metric_takes_its_usual_one_or_all_there_are(
    pyramid, tmp_path, caplog
):
    compared = evaluator(pyramid, tmp_path, num_images=None)
    assert compared.num_images == {"swd": 40, "ms_ssim": 40}
    assert "swd of 40, usually 16384, ms_ssim of 40, usually 20000" in caplog.text


@pytest.mark.parametrize(
    ("names", "num_images", "message"),
    [
        (["swd"], 41, "--num_images must be at most 40, as many as .*data has. Received: 41"),
        (["is"], 19, "is needs at least 20 images. Received: --num_images=19"),
        (["ms_ssim"], 1, "ms_ssim needs at least 2 images"),
    ],
)
def test_too_few_images_are_refused(pyramid, tmp_path, names, num_images, message):
    with pytest.raises(UserError, match=message):
        evaluator(pyramid, tmp_path, names, num_images=num_images, extractor=Means())


def test_more_fakes_than_there_are_reals_are_compared_with_all_of_these(pyramid, tmp_path):
    extractor = Means()
    names = ["fid", "is", "kid", "precision_recall", "ms_ssim"]
    compared = evaluator(pyramid, tmp_path, names, num_images=60, extractor=extractor)
    assert compared.num_images["fid"] == 60 and compared.real_images["fid"] == 40
    found = compared.evaluate(noise()).values
    assert sum(extractor.seen) == _TRIAL + 40 + 60
    reals = np.concatenate(
        list(Reals(PyramidImages(pyramid, 16), seed=1, mirror=False).read(0, 40))
    )
    fakes = np.concatenate(list(noise().read(60)))
    statistics = [metrics.feature_statistics(batch.mean((1, 2))) for batch in (reals, fakes)]
    assert found["fid"] == pytest.approx(metrics.frechet_distance(*statistics), rel=1e-4)
    similar = [metrics.ms_ssim(batch[::2], batch[1::2]).mean() for batch in (fakes, reals)]
    assert found["ms_ssim/gap"] == pytest.approx(abs(similar[0] - similar[1]))
    assert set(compared.floor()) == set(found)


def test_data_without_enough_images_or_pixels_are_refused(tmp_path):
    few = open_pyramid(write_pyramid(tmp_path / "few", resolution=16, channels=1, count=3))
    with pytest.raises(
        UserError, match="precision_recall needs at least 4 images. Received: 3, in"
    ):
        evaluator(few, tmp_path, ["precision_recall"], num_images=None, extractor=Means())
    small = open_pyramid(write_pyramid(tmp_path / "small", resolution=8, channels=1))
    with pytest.raises(UserError, match="swd needs images of 16x16 or larger. Received: 8x8"):
        evaluator(small, tmp_path)


def test_a_score_of_an_extractor_without_logits_is_refused(pyramid, tmp_path):
    extractor = Means(classifies=False)
    with pytest.raises(UserError, match="needs an extractor that returns logits.*Received: means"):
        evaluator(pyramid, tmp_path, ["fid", "is"], extractor=extractor)
    evaluator(pyramid, tmp_path, ["fid"], extractor=extractor)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: images[:, 0, 0, 0], r"must have the shape \[2, number of features\]"),
        (lambda images: np.full([len(images), 3], np.nan), "the features must be finite"),
    ],
)
def test_an_extractor_that_returns_no_features_is_refused_at_once(
    pyramid, tmp_path, function, message
):
    with pytest.raises(UserError, match=message):
        extractor = FunctionExtractor("own:function", "1", function)
        evaluator(pyramid, tmp_path, ["fid"], extractor=extractor)
    assert not (tmp_path / "key.json").exists()


def test_a_classifier_that_cannot_read_the_images_is_refused_at_once(pyramid, tmp_path):
    gray = open_pyramid(write_pyramid(tmp_path / "gray", resolution=16, channels=1))
    blank = np.zeros([1, 8, 8], np.uint8)
    model = metrics.train_digit_classifier(blank, np.zeros(1, int), epochs=0)
    digits = metrics.DigitClassifier(model, name="small.keras", digest="1")
    for data, message in ((gray, "modes takes MNIST-RGB"), (pyramid, "small.keras.*16x16")):
        with pytest.raises(UserError, match=message):
            Evaluator(
                find_metrics(["modes"]),
                Reals(PyramidImages(data, 16), seed=1, mirror=False),
                num_images=20,
                cache=FeatureCache(tmp_path / "cache"),
                extractors={"numbers": digits},
            )


def test_no_features_are_extracted_for_metrics_that_are_not_wanted_now(pyramid, tmp_path):
    extractor = Means()
    compared = evaluator(pyramid, tmp_path, ["ms_ssim", "fid"], extractor=extractor)
    similar, distance = compared.metrics
    assert set(compared.evaluate(noise(), only=[similar]).values) == {"ms_ssim", "ms_ssim/gap"}
    assert set(compared.floor(only=[similar])) == {"ms_ssim", "ms_ssim/gap"}
    assert sum(extractor.seen) == _TRIAL
    alone = compared.evaluate(noise(), only=[distance]).values
    assert compared.evaluate(noise()).values["fid"] == alone["fid"]
