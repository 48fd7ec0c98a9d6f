"""The weights of other networks, fitted to a run's by layers and by classes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.training.transfer import Transfer, match_classes

TINY = NetworkConfig(resolution=8, fmap_base=32, fmap_max=8, latent_size=6)
NETWORKS = (
    (Generator, "generator"),
    (Generator, "generator_ema"),
    (Discriminator, "discriminator"),
)


def sized(config=TINY, *, label_size, **changes):
    return dataclasses.replace(config, label_size=label_size, **changes)


def make(config, *, seed):
    """Return the three networks of a configuration, with random weights and biases."""
    networks = {name: kind(config, name=name, seed=seed) for kind, name in NETWORKS}
    rng = np.random.default_rng(seed)
    for network in networks.values():
        for variable in network.variables.values():
            variable.assign(rng.normal(size=variable.shape))
    return networks


def weights(networks):
    return {
        f"{name}/{path}": variable.numpy()
        for name, network in networks.items()
        for path, variable in network.variables.items()
    }


def transfer(source, target, *, source_names=None, names=None):
    """Give the target's networks the weights of the source's; return the transfer."""
    sizes = [networks["generator"].config.label_size for networks in (source, target)]
    classes = match_classes(sizes[0], source_names, sizes[1], names)
    fitted = Transfer(target["generator"].config, weights(source), classes)
    for name, network in target.items():
        for path, variable in network.variables.items():
            variable.assign(fitted.weights(name, path, variable.numpy()))
    return fitted


@pytest.mark.parametrize(
    ("source", "run", "expected", "reason"),
    [
        ((0, None), (0, None), (), "neither has labels"),
        ((0, None), (2, ["a", "b"]), (None, None), "the source has no labels"),
        ((2, ["a", "b"]), (0, None), (), "this run has no labels"),
        ((3, ["a", "b", "c"]), (2, ["c", "d"]), (2, None), "matched by name"),
        ((2, ["a", "b"]), (2, ["b", "a"]), (1, 0), "matched by name"),
        ((2, ["a", "a"]), (2, ["a", "a"]), (0, 1), "the same classes"),
        ((2, ["a", "a"]), (1, ["a"]), (None,), "matched by name"),
        ((2, None), (2, ["a", "b"]), (0, 1), "matched by number: the source's classes have no"),
        ((2, ["a", "b"]), (2, None), (0, 1), "matched by number: the data's classes have no"),
        ((2, None), (3, ["a", "b", "c"]), (None,) * 3, "the source's classes have no names"),
        (
            (2, ["a"]),
            (2, ["a", "b"]),
            (0, 1),
            "matched by number: the source's classes have no names",
        ),
    ],
)
def test_classes_are_matched_by_name_or_if_equally_many_by_number(source, run, expected, reason):
    match = match_classes(*source, *run)
    assert match.sources == expected
    assert match.reason.startswith(reason)


@pytest.mark.parametrize("sizes", [(0, 3), (2, 3), (3, 2), (2, 0)], ids=str)
@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({}, lambda old, new: 1),
        ({"normalize_latents": False}, lambda old, new: np.sqrt(new / old)),
        ({"equalized_learning_rate": False}, lambda old, new: np.sqrt(old / new)),
        (
            {"equalized_learning_rate": False, "normalize_latents": False},
            lambda old, new: 1,
        ),
    ],
    ids=["default", "latents as they are", "not equalized", "neither"],
)
def test_rows_and_columns_of_labels_begin_anew_and_all_else_is_taken_over(sizes, options, factor):
    source, target = (
        make(sized(label_size=size, **options), seed=seed)
        for seed, size in enumerate(sizes, start=1)
    )
    old, new = weights(source), weights(target)
    transfer(source, target)
    after = weights(target)
    for name in ("generator", "generator_ema"):
        path = f"{name}/4x4_dense/kernel"
        ratio = factor(6 + sizes[0], 6 + sizes[1])
        expected = np.concatenate([old[path][:6] * np.float32(ratio), new[path][6:]])
        np.testing.assert_array_equal(after.pop(path), expected)
    for path in ("discriminator/4x4_dense1/kernel", "discriminator/4x4_dense1/bias"):
        expected = np.concatenate([old[path][..., :1], new[path][..., 1:]], axis=-1)
        np.testing.assert_array_equal(after.pop(path), expected)
    for path, array in after.items():
        np.testing.assert_array_equal(array, old[path], err_msg=path)


def test_classes_of_equal_names_keep_their_rows_and_columns():
    source, target = make(sized(label_size=3), seed=1), make(sized(label_size=2), seed=2)
    old, new = weights(source), weights(target)
    fitted = transfer(source, target, source_names=["cat", "dog", "owl"], names=["owl", "emu"])
    after = weights(target)
    path = "generator/4x4_dense/kernel"
    np.testing.assert_array_equal(
        after[path], np.stack([*old[path][:6], old[path][8], new[path][7]])
    )
    for path in ("discriminator/4x4_dense1/kernel", "discriminator/4x4_dense1/bias"):
        rows = [old[path][..., 0], old[path][..., 3], new[path][..., 2]]
        np.testing.assert_array_equal(after[path], np.stack(rows, axis=-1))
    labels = next(line for line in fitted.lines() if line.startswith("labels"))
    assert labels == (
        "labels: rows of 4x4_dense and columns of 4x4_dense1 taken over for 1 class, owl; begin "
        "anew for 1 class, emu; those of 2 of the source's 3 left out (matched by name)"
    )


def without_labels(networks):
    kernel = networks["generator"].variables["4x4_dense/kernel"]
    kernel.assign(np.where(np.arange(kernel.shape[0])[:, None] < 6, kernel.numpy(), 0))


def one_hot(count, label_size):
    return np.eye(label_size, dtype=np.float32)[np.arange(count) % label_size]


def images(networks, latents, label_size):
    labels = tf.constant(one_hot(len(latents), label_size)) if label_size else None
    return networks["generator"](tf.constant(latents), labels, resolution=8).numpy()


@pytest.fixture
def latents():
    return np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


@pytest.mark.parametrize(
    "options", [{}, {"normalize_latents": False}, {"equalized_learning_rate": False}], ids=str
)
def test_images_stay_the_same_where_labels_contribute_nothing(latents, options):
    source, target = (make(sized(label_size=size, **options), seed=size) for size in (2, 3))
    without_labels(source)
    transfer(source, target)
    without_labels(target)
    np.testing.assert_allclose(
        images(target, latents, 3), images(source, latents, 2), rtol=1e-4, atol=1e-4
    )


def test_a_new_label_shortens_the_latents_by_its_share_of_the_norm(latents):
    source, target = make(sized(label_size=0), seed=1), make(sized(label_size=3), seed=2)
    transfer(source, target)
    without_labels(target)
    # The first layer in NumPy. A one-hot label adds 1 to the squared norm of its input.
    kernel = target["generator"].variables["4x4_dense/kernel"].numpy()[:6]
    gain, squares = np.sqrt(2) / 4, np.sum(latents**2, axis=1, keepdims=True)
    unlabelled, labelled = (gain * latents / np.sqrt(squares + n) @ kernel for n in (0, 1))
    np.testing.assert_allclose(first_layer(source, latents, 0), unlabelled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first_layer(target, latents, 3), labelled, rtol=1e-4, atol=1e-5)
    # Pixel norm takes the factor away again where the layer has no bias.
    for networks in (source, target):
        networks["generator"].variables["4x4_dense_bias/bias"].assign(np.zeros(8))
    np.testing.assert_allclose(
        images(target, latents, 3), images(source, latents, 0), rtol=1e-4, atol=1e-4
    )


def first_layer(networks, latents, label_size):
    generator = networks["generator"]
    x = latents
    if label_size:
        x = np.concatenate([x, one_hot(len(x), label_size)], axis=1)
    dense = next(layer for layer in generator._keras_layers if layer.name == "4x4_dense")
    return dense(generator._normalize_latents(tf.constant(x))).numpy()


@pytest.mark.parametrize("sizes", [(0, 3), (3, 2), (2, 0)], ids=str)
def test_scores_stay_the_same(sizes):
    source, target = (make(sized(label_size=size), seed=size + 1) for size in sizes)
    transfer(source, target)
    reals = tf.constant(np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32))
    before, after = (n["discriminator"](reals, resolution=8).scores for n in (source, target))
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_the_lines_name_every_layer_that_begins_anew_or_is_left_out():
    small, large = (
        make(sized(label_size=0), seed=1),
        make(sized(label_size=0, resolution=16), seed=2),
    )
    assert transfer(small, large).lines() == [
        "generator and its average: 6 of 9 layers taken over; 16x16_conv0, 16x16_conv1, "
        "to_rgb_16x16 begin anew: the source ends at 8x8",
        "discriminator: 7 of 10 layers taken over; from_rgb_16x16, 16x16_conv0, 16x16_conv1 begin "
        "anew: the source ends at 8x8",
        "both optimizers begin anew",
    ]
    assert "left out: the layers above 8x8" in transfer(large, small).lines()


def test_many_classes_are_counted_rather_than_listed():
    names = [f"c{number}" for number in range(100)]
    source, target = make(sized(label_size=0), seed=1), make(sized(label_size=100), seed=2)
    line = transfer(source, target, names=names).lines()[2]
    assert line.endswith("for 100 classes, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 90 more "
                         "(the source has no labels)")  # fmt: skip


@pytest.mark.parametrize("network", [name for _, name in NETWORKS])
def test_layers_of_another_shape_or_missing_ones_are_refused(network):
    arrays = weights(make(sized(label_size=2), seed=1))
    classes = match_classes(2, None, 3, None)
    path = f"{network}/8x8_conv0/kernel"
    for broken in ({**arrays, path: arrays[path][..., :4]}, {**arrays, path: arrays[path][0]}):
        with pytest.raises(ValueError, match=f"{path} must have the shape .*Received: \\["):
            Transfer(sized(label_size=3), broken, classes)
    del arrays[path]
    with pytest.raises(ValueError, match="Received: nothing"):
        Transfer(sized(label_size=3), arrays, classes)
