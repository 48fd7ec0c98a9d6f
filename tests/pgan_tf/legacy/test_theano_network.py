"""Networks of the Theano version, against its layout computed in NumPy."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.legacy import read_networks
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from tests.helpers import theano_reference as reference
from tests.helpers.network_files import PYTHON_2, write_network_file
from tfrecords_tools.errors import UserError

FEATURES = (6, 4, 2)  # at 4x4, 8x8, 16x16: of fmap_base 16 and fmap_max 6
OPTIONS = {
    "num_channels": 3,
    "resolution": 16,
    "label_size": 0,
    "fmap_base": 16,
    "fmap_decay": 1.0,
    "fmap_max": 6,
}
GENERATOR_SHAPES = reference.generator_shapes(FEATURES, latent_size=5, channels=3)
DISCRIMINATOR_SHAPES = reference.discriminator_shapes(FEATURES, last=6, channels=3)


def state(builder, values, options=OPTIONS, *, lod=0.0, **changes):
    """The state of one `network.Network`."""
    options = dict(options)
    if builder.startswith("G"):
        options.setdefault("latent_size", 5)
    return {
        "build_func_spec": {"func": builder, **options},
        "build_module_src": "raise RuntimeError('executed')\n",
        "param_values": values,
        "toplevel_params": {"cur_lod": np.float32(lod), "gdrop_strength": np.float32(0)},
        **changes,
    }


def write(path, *states, protocol=PYTHON_2):
    return write_network_file(path, states, module="network", protocol=protocol)


def built(network, original):
    assert set(network.variables) == set(original.weights)
    for name, variable in network.variables.items():
        variable.assign(original.weights[name])
    return network


@pytest.mark.parametrize("scaled", [True, False], ids=["wscale", "no wscale"])
@pytest.mark.parametrize(
    "builders", [("G_paper", "D_paper"), ("G_progressive_8", "D_progressive_8")]
)
def test_images_and_scores_are_those_of_the_arrays_in_the_file(tmp_path, rng, scaled, builders):
    g = reference.random_parameters(GENERATOR_SHAPES, rng, scaled)
    d = reference.random_parameters(DISCRIMINATOR_SHAPES, rng, scaled)
    gs = reference.random_parameters(GENERATOR_SHAPES, rng, scaled)
    options = OPTIONS if scaled else {**OPTIONS, "use_wscale": False}
    path = write(
        tmp_path / "network.pkl",
        state(builders[0], g, options),
        state(builders[1], d, options),
        state(builders[0], gs, options),
    )
    networks = read_networks(path)
    assert networks.ema_generator.version == "Theano"
    latents = rng.normal(size=[32, 5]).astype(np.float32)
    for values, original in ((g, networks.generator), (gs, networks.ema_generator)):
        generator = built(Generator(original.config), original)
        # Not closer: where all features are near 0, the pixel norm magnifies rounding errors.
        images = generator(tf.constant(latents[:4]), resolution=16).numpy()
        expected = reference.generate(values, latents[:4], 3, scaled)
        np.testing.assert_allclose(images.transpose(0, 3, 1, 2), expected, rtol=1e-3, atol=2e-4)
    config = networks.discriminator.config
    assert not config.fused_scale
    assert config.stddev_group_size == 16
    discriminator = built(Discriminator(config), networks.discriminator)
    reals = rng.uniform(-1, 1, [32, 3, 16, 16]).astype(np.float32)
    scores, _ = discriminator(tf.constant(reals.transpose(0, 2, 3, 1)), resolution=16)
    expected = reference.judge(d, reals, 3, scaled)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def test_a_tanh_at_the_end_is_read(tmp_path, rng):
    values = reference.random_parameters(GENERATOR_SHAPES, rng)
    options = {**OPTIONS, "tanh_at_end": 1.0}
    original = read_networks(write(tmp_path / "n.pkl", state("G_paper", values, options))).generator
    latents = rng.normal(size=[4, 5]).astype(np.float32)
    generator = built(Generator(original.config), original)
    images = generator(tf.constant(latents), resolution=16).numpy()
    expected = np.tanh(reference.generate(values, latents, 3))
    np.testing.assert_allclose(images.transpose(0, 3, 1, 2), expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize(
    ("options", "ours"),
    [
        ({"use_pixelnorm": False}, {"generator_norm": "none"}),
        ({"use_leakyrelu": False}, {"generator_activation": "relu"}),
        ({"normalize_latents": False}, {"normalize_latents": False}),
        ({"mbstat_avg": None}, {"minibatch_features": "none", "stddev_group_size": 4}),
    ],
)
def test_options_that_make_another_network_are_read(tmp_path, rng, options, ours):
    values = reference.random_parameters(GENERATOR_SHAPES, rng)
    configs = [
        read_networks(write(tmp_path / "n.pkl", state("G_paper", values, o))).generator.config
        for o in (OPTIONS, {**OPTIONS, **options})
    ]
    assert configs[1] == dataclasses.replace(configs[0], **ours)


@pytest.mark.parametrize("protocol", [PYTHON_2, 2, 3, 4])
def test_any_protocol_gives_the_same_weights(tmp_path, rng, protocol):
    values = reference.random_parameters(GENERATOR_SHAPES, rng)
    path = write(tmp_path / "n.pkl", state("G_paper", values, lod=1.5), protocol=protocol)
    network = read_networks(path).generator
    kernel, scale, bias = values[3:6]
    stored = network.weights["4x4_conv/kernel"]
    used = stored * np.sqrt(2) / np.sqrt(9 * 6)
    for y in range(3):
        for x in range(3):
            np.testing.assert_allclose(
                used[y, x], scale * kernel[:, :, 2 - y, 2 - x].T, rtol=1e-5, atol=1e-6
            )
    np.testing.assert_array_equal(network.weights["4x4_conv/bias"], bias)
    assert (network.resolution, network.alpha) == (8, 0.5)


@pytest.mark.parametrize("most", [256, 512])
def test_features_that_a_file_leaves_out_are_those_that_fit(tmp_path, rng, most):
    shapes = reference.generator_shapes([most], latent_size=5, channels=1)
    values = reference.random_parameters(shapes, rng)
    path = write(tmp_path / "n.pkl", state("G_paper", values, {"resolution": 4}))
    assert read_networks(path).generator.config.fmap_max == most


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_size": 10}, "option label_size must be 0"),
        ({"use_batchnorm": True}, "option use_batchnorm must be False"),
        ({"use_layernorm": True}, "option use_layernorm must be False"),
        ({"tanh_at_end": 0.5}, "option tanh_at_end must be None or 1.0"),
        ({"pixelnorm_epsilon": 1e-4}, "option pixelnorm_epsilon is none that pgan_tf has"),
        ({"mbstat_func": None}, "option mbstat_func must be 'Tstdeps'"),
        ({"mbstat_avg": "flat"}, "option mbstat_avg must be 'all' or None"),
        ({"mbdisc_kernels": 100}, "option mbdisc_kernels must be None"),
        ({"fused_scale": True}, "option fused_scale is none of the Theano version's"),
        ({"progressive": 3}, "option progressive is none that pgan_tf has"),
        ({"func": "G_mnist"}, "builder must be G_paper, .*Received: 'G_mnist'"),
    ],
)
def test_options_that_we_do_not_have_are_refused_by_name(tmp_path, rng, change, message):
    values = reference.random_parameters(GENERATOR_SHAPES, rng)
    path = write(tmp_path / "n.pkl", state("G_paper", values, {**OPTIONS, **change}))
    with pytest.raises(UserError, match=f"{path}: .*{message}"):
        read_networks(path)


def test_arrays_that_do_not_fit_are_refused_by_layer(tmp_path, rng):
    values = reference.random_parameters(GENERATOR_SHAPES, rng)

    def refused(changed, **changes):
        path = write(tmp_path / "n.pkl", state("G_paper", changed, **changes))
        with pytest.raises(UserError) as caught:
            read_networks(path)
        return str(caught.value)

    assert "must be 27 arrays for its options. Received: 26" in refused(values[:-1])
    assert "of layer 4x4/Conv, the weights must be floats [6, 6, 3, 3]" in refused(
        [*values[:3], values[3].transpose(2, 3, 0, 1), *values[4:]]
    )
    assert "of layer 4x4/Dense, the scale must be floats []" in refused([values[0], 3, *values[2:]])
    assert "of layer 4x4/Dense, the bias" in refused([*values[:2], values[2][:3], *values[3:]])
    assert "a network without param_values" in refused(None)
    assert "a network without toplevel_params" in refused(values, toplevel_params=None)
