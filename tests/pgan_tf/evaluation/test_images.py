import types

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import (
    Fakes,
    GeneratedImages,
    Reals,
    default_batch_size,
    generation_batch_size,
)
from pgan_tf.evaluation.replicated_generator import ReplicatedGenerator
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.grids import to_uint8
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid


def read(reals, first, count):
    return np.concatenate(list(reals.read(first, count)))


def test_reals_are_all_the_images_in_an_order_of_the_seeds(pyramid_dir):
    pyramid = open_pyramid(pyramid_dir)
    stored = pyramid.level(8).read(np.arange(24)).transpose(0, 2, 3, 1)
    reals = Reals(PyramidImages(pyramid, 8), seed=1, mirror=False)
    drawn = read(reals, 0, 24)
    rows = [
        [np.abs(image - s.astype(int)).sum() for s in stored].index(0)
        for image in drawn.astype(int)
    ]
    assert sorted(rows) == list(range(24)) and rows != sorted(rows)
    np.testing.assert_array_equal(read(reals, 10, 5), drawn[10:15])
    assert (read(Reals(PyramidImages(pyramid, 8), seed=2, mirror=False), 0, 24) != drawn).any()


def test_half_of_the_reals_are_mirrored_where_training_mirrors(pyramid_dir):
    pyramid = open_pyramid(pyramid_dir)
    plain = read(Reals(PyramidImages(pyramid, 8), seed=1, mirror=False), 0, 24)
    mirrored = read(Reals(PyramidImages(pyramid, 8), seed=1, mirror=True), 0, 24)
    turned = [(m == p[:, ::-1]).all() for m, p in zip(mirrored, plain, strict=True)]
    kept = [(m == p).all() for m, p in zip(mirrored, plain, strict=True)]
    assert all(t ^ k for t, k in zip(turned, kept, strict=True))
    assert 5 <= sum(turned) <= 19
    np.testing.assert_array_equal(
        read(Reals(PyramidImages(pyramid, 8), seed=1, mirror=True), 12, 12), mirrored[12:]
    )


def test_labels_come_as_often_as_in_the_data(tmp_path):
    labels = np.eye(2, dtype=np.float32)[(np.arange(20) < 3).astype(int)]
    directory = write_pyramid(tmp_path / "x", resolution=4, channels=1, count=20, labels=labels)
    drawn = Reals(PyramidImages(open_pyramid(directory), 4), seed=3, mirror=False).draw_labels(20)
    np.testing.assert_array_equal(drawn.sum(0), [17, 3])


def all_finite(images):
    return GeneratedImages(images, np.ones(len(images), bool))


def fakes(generate, **changes):
    defaults = {
        "origin": "g.keras",
        "generate": generate,
        "latent_size": 3,
        "labels": None,
        "size": (4, 4),
        "seed": 0,
        "batch_size": 4,
    }
    return Fakes(**{**defaults, **changes})


def test_small_fakes_are_enlarged_by_repetition():
    def generate(latents, labels):
        image = np.array([[0, 255], [128, 255]], np.uint8)
        return all_finite(np.tile(image[None, :, :, None], (len(latents), 1, 1, 1)))

    (image,) = np.concatenate(list(fakes(generate).read(1)))[..., 0]
    assert image.tolist() == [[0, 0, 255, 255]] * 2 + [[128, 128, 255, 255]] * 2


def test_fakes_do_not_depend_on_the_size_of_batches():
    def generate(latents, labels):
        return all_finite(to_uint8(latents[:, :1, None, None] * np.ones([1, 4, 4, 1])))

    one, many = (np.concatenate(list(fakes(generate, batch_size=size).read(10))) for size in (1, 7))
    np.testing.assert_array_equal(one, many)


def test_a_network_of_images_that_are_not_finite_is_called_broken(one_device):
    def call(latents, labels):
        images = tf.zeros([4, 4, 4, 1])
        return tf.tensor_scatter_nd_update(images, [[1, 3, 3, 0], [1, 0, 0, 0]], [np.nan, np.inf])

    generate = ReplicatedGenerator(call, one_device, batch_size=4, label_size=0)
    with pytest.raises(UserError, match=r"g.keras: a broken network.* 1 of images 0 to 3"):
        list(fakes(generate).read(8))


def test_replicas_split_a_batch_and_generate_the_same_images(rng, one_device, two_replicas):
    config = NetworkConfig(resolution=8, fmap_base=32, fmap_max=8, label_size=2)
    latents = rng.standard_normal([5, 8]).astype(np.float32)
    labels = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 1]]
    images = []
    for strategy in (one_device, two_replicas):
        with strategy.scope():
            generator = Generator(config, seed=3)

        def call(latents, labels, generator=generator):
            return generator(latents, labels, resolution=8, alpha=None)

        generate = ReplicatedGenerator(call, strategy, batch_size=4, label_size=2)
        assert generate.batch_size == 4 * strategy.num_replicas_in_sync
        batches = [generate(latents[:4], labels[:4]), generate(latents[4:], labels[4:])]
        images.append(np.concatenate([batch.images for batch in batches]))
        assert [batch.finite.tolist() for batch in batches] == [[True] * 4, [True]]
        plain = generator(tf.constant(latents), tf.constant(labels), resolution=8, alpha=None)
        # Graphs of other batch sizes round differently, rarely to another level.
        assert np.abs(images[-1] - to_uint8(plain).astype(int)).max() <= 1
    assert (images[0] == images[1]).mean() > 0.99


def test_one_of_several_workers_generates_by_itself():
    class OfFour:
        num_replicas_in_sync = 4
        extended = types.SimpleNamespace(worker_devices=["/CPU:0", "/CPU:1"])

        def run(self, *arguments):
            raise AssertionError("the other workers do not take part")

    generate = ReplicatedGenerator(
        lambda latents, labels: latents[:, :, None, None], OfFour(), batch_size=4, label_size=0
    )
    assert generate.batch_size == 4
    latents = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(generate(latents, None).images[:, :, 0, 0], to_uint8(latents))


def test_batches_shrink_as_images_grow():
    assert [default_batch_size(r**2) for r in (4, 128, 512, 1024)] == [256, 256, 16, 4]


def test_batches_fill_a_quarter_of_a_gpu(monkeypatch):
    assert generation_batch_size(1024**2, 10**7) == default_batch_size(1024**2)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setattr("pgan_tf.runs.batch_size.free_gpu_memory", lambda: 64 * 10**8)
    assert generation_batch_size(1024**2, 10**7) == 10  # 16 bytes a feature
    assert [generation_batch_size(1024**2, 10**n) for n in (5, 9)] == [256, 1]
