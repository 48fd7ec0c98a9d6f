"""The layer table against the variables and the outputs of the networks made from it."""

import dataclasses
import subprocess
import sys

import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.layers import EqualizedConv2D, EqualizedDense
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.networks.layer_table import discriminator_layers, generator_layers, layers_at

pytestmark = pytest.mark.slow

CONFIG = NetworkConfig(resolution=16, fmap_base=64, fmap_max=12)
# Each makes other networks.
OPTIONS = [
    {},
    {"label_size": 3, "channels": 1, "latent_size": 5},
    {"resolution": 4},
    {"resolution": 4, "convs_per_resolution": 1},
    {"convs_per_resolution": 1},
    {"convs_per_resolution": 1, "minibatch_features": "none", "discriminator_fmap_divisor": 2},
    {"convs_per_resolution": 1, "generator_norm": "batch", "discriminator_norm": "batch"},
    {"convs_per_resolution": 1, "fused_scale": False},
    {"fused_scale": False},
    {"minibatch_features": "none"},
    {"minibatch_features": "discrimination", "discrimination_kernels": 7, "label_size": 2},
    {"generator_norm": "batch", "discriminator_norm": "layer"},
    {"generator_norm": "none", "discriminator_norm": "batch"},
    {"to_rgb_kernel_size": 3},
    {"discriminator_fmap_divisor": 4},
    {"equalized_learning_rate": False},
]
STAGES = [(4, False), (8, True), (16, True), (16, False)]
configs = pytest.mark.parametrize("options", OPTIONS, ids=str)


def tables_and_networks(options):
    config = dataclasses.replace(CONFIG, **options)
    yield generator_layers(config), Generator(config)
    yield discriminator_layers(config), Discriminator(config)


@configs
def test_the_table_has_the_networks_variables_in_their_order(options):
    for table, network in tables_and_networks(options):
        listed = [(name, shape) for layer in table for name, shape in layer.variables.items()]
        assert listed == [(path, tuple(v.shape)) for path, v in network.variables.items()]
        counts = [sum(int(tf.size(network.variables[n])) for n in x.variables) for x in table]
        assert [layer.num_weights for layer in table] == counts


def test_the_table_of_a_small_network_is_as_written_here():
    config = NetworkConfig(resolution=8, fmap_base=16, fmap_max=6, label_size=2)
    assert [
        (x.name, x.role, x.resolution, x.kernel_shape, round(x.gain, 4), x.resample, x.outputs)
        for x in (*generator_layers(config), *discriminator_layers(config))
    ] == [
        ("4x4_dense", "hidden", 4, (8, 96), 0.3536, None, 6 * 16),
        ("4x4_conv", "hidden", 4, (3, 3, 6, 6), 1.4142, None, 6 * 16),
        ("to_rgb_4x4", "rgb", 4, (1, 1, 6, 3), 1.0, None, 3 * 16),
        ("8x8_conv0", "hidden", 8, (3, 3, 6, 4), 1.4142, "upscale", 4 * 64),
        ("8x8_conv1", "hidden", 8, (3, 3, 4, 4), 1.4142, None, 4 * 64),
        ("to_rgb_8x8", "rgb", 8, (1, 1, 4, 3), 1.0, None, 3 * 64),
        ("from_rgb_4x4", "rgb", 4, (1, 1, 3, 6), 1.4142, None, 6 * 16),
        ("from_rgb_8x8", "rgb", 8, (1, 1, 3, 4), 1.4142, None, 4 * 64),
        ("8x8_conv0", "hidden", 8, (3, 3, 4, 4), 1.4142, None, 4 * 64),
        ("8x8_conv1", "hidden", 8, (3, 3, 4, 6), 1.4142, "downscale", 6 * 16),
        ("4x4_conv", "hidden", 4, (3, 3, 7, 6), 1.4142, None, 6 * 16),
        ("4x4_dense0", "hidden", 4, (96, 6), 1.4142, None, 6),
        ("4x4_dense1", "scores", 4, (6, 3), 1.0, None, 3),
    ]


@configs
@pytest.mark.parametrize(("resolution", "fading"), STAGES)
def test_a_stage_runs_through_the_layers_that_the_table_says(
    monkeypatch, options, resolution, fading
):
    if resolution > options.get("resolution", 16):
        return
    outputs = {}
    for layer_class in (EqualizedConv2D, EqualizedDense):

        def call(self, inputs, original=layer_class.call):
            result = original(self, inputs)
            outputs[self.name] = (self.gain, tuple(self.kernel.shape), int(tf.size(result)))
            return result

        monkeypatch.setattr(layer_class, "call", call)
    stage = {"resolution": resolution, "alpha": tf.constant(0.5) if fading else None}
    (g_table, generator), (d_table, discriminator) = tables_and_networks(options)
    config = generator.config
    labels = tf.zeros([1, config.label_size]) if config.label_size else None
    images = generator(tf.zeros([1, config.resolved_latent_size]), labels, **stage)
    check(outputs, g_table, resolution, fading)
    outputs.clear()
    discriminator(images, **stage)
    check(outputs, d_table, resolution, fading)


def check(outputs, table, resolution, fading):
    expected = {
        layer.name: (layer.gain, layer.kernel_shape, layer.outputs)
        for layer in layers_at(table, resolution, fading=fading)
        if layer.role != "discrimination"
    }
    assert outputs == expected


def test_the_table_and_the_costs_need_no_tensorflow():
    code = (
        "import sys, pgan_tf.networks.layer_table, pgan_tf.networks.cost, "
        "pgan_tf.planning.step_memory; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
