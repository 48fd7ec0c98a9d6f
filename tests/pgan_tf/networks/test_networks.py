import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.layers.kernels import resampling
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from tests.helpers import layer_reference as reference

CONFIG = NetworkConfig(resolution=16, fmap_base=64, fmap_max=8, label_size=2)
STAGES = [(4, False), (8, True), (8, False), (16, True), (16, False)]


@pytest.fixture
def latents(rng):
    return tf.constant(rng.normal(size=[4, 8]), tf.float32)


@pytest.fixture
def labels():
    return tf.one_hot([0, 1, 1, 0], 2)


@pytest.mark.parametrize(("resolution", "fading"), STAGES)
def test_active_variables_are_those_with_gradients(latents, labels, resolution, fading):
    alpha = tf.constant(0.5) if fading else None
    generator, discriminator = Generator(CONFIG), Discriminator(CONFIG)
    with tf.GradientTape(persistent=True) as tape:
        images = generator(latents, labels, resolution=resolution, alpha=alpha)
        scores, logits = discriminator(images, resolution=resolution, alpha=alpha)
        total = tf.reduce_sum(scores) + tf.reduce_sum(logits)
    assert images.shape == (4, resolution, resolution, 3)
    assert (scores.shape, logits.shape) == ((4,), (4, 2))
    for network in (generator, discriminator):
        gradients = tape.gradient(total, {p: v.value for p, v in network.variables.items()})
        active = {v.path for v in network.variables_at(resolution, fading=fading)}
        assert active == {path for path, gradient in gradients.items() if gradient is not None}


def test_alpha_zero_is_the_lower_resolution_enlarged(latents, labels):
    generator, discriminator = Generator(CONFIG), Discriminator(CONFIG)
    lower = generator(latents, labels, resolution=8)
    faded = generator(latents, labels, resolution=16, alpha=tf.constant(0.0))
    np.testing.assert_allclose(faded, reference.upscale(lower.numpy()), rtol=1e-5, atol=1e-6)
    for at_lower, at_faded in zip(
        discriminator(lower, resolution=8),
        discriminator(faded, resolution=16, alpha=tf.constant(0.0)),
        strict=True,
    ):
        np.testing.assert_allclose(at_faded, at_lower, rtol=1e-4, atol=1e-5)


def test_alpha_one_is_the_new_resolution_alone(latents, labels):
    generator, discriminator = Generator(CONFIG), Discriminator(CONFIG)
    images = generator(latents, labels, resolution=16)
    faded = generator(latents, labels, resolution=16, alpha=tf.constant(1.0))
    np.testing.assert_allclose(faded, images, rtol=1e-5, atol=1e-6)
    expected, _ = discriminator(images, resolution=16)
    scores, _ = discriminator(images, resolution=16, alpha=tf.constant(1.0))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fused_scale", [True, False])
def test_discriminator_activates_before_or_after_downscaling_by_fused_scale(rng, fused_scale):
    config = NetworkConfig(resolution=8, fmap_base=32, fmap_max=6, fused_scale=fused_scale)
    discriminator = Discriminator(config)
    for variable in discriminator.variables.values():  # biases too
        variable.assign(rng.normal(size=variable.shape))
    weights = {p: v.numpy().astype(np.float64) for p, v in discriminator.variables.items()}

    def layer(x, name, gain=2**0.5):
        kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
        kernel = kernel * gain / np.sqrt(np.prod(kernel.shape[:-1]))
        return x @ kernel + bias if kernel.ndim == 2 else reference.convolve(x, kernel, bias)

    act = reference.leaky_relu
    images = rng.normal(size=[8, 8, 8, 3])
    x = act(layer(images, "from_rgb_8x8"))
    x = layer(act(layer(x, "8x8_conv0")), "8x8_conv1")
    x = act(reference.downscale(x)) if fused_scale else reference.downscale(act(x))
    deviation = reference.minibatch_stddev(x, 4)
    deviation = np.broadcast_to(deviation[:, None, None, None], [*x.shape[:3], 1])
    x = act(layer(np.concatenate([x, deviation], axis=-1), "4x4_conv"))
    x = act(layer(x.transpose(0, 3, 1, 2).reshape(8, -1), "4x4_dense0"))
    expected = layer(x, "4x4_dense1", gain=1.0)[:, 0]

    scores, logits = discriminator(tf.constant(images, tf.float32), resolution=8)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    assert logits is None


def test_mixed_precision_computes_in_bfloat16_and_keeps_weights_and_outputs_in_float32(
    latents, labels, monkeypatch
):
    monkeypatch.setattr(resampling, "fastest_method", lambda: "kernel_4x4")
    plain = Generator(CONFIG, seed=4)
    mixed = Generator(CONFIG, seed=4, dtype="mixed_bfloat16")
    images = mixed(latents, labels, resolution=16, alpha=tf.constant(0.5))
    expected = plain(latents, labels, resolution=16, alpha=tf.constant(0.5))
    assert images.dtype == tf.float32
    assert {v.dtype for v in mixed.variables.values()} == {"float32"}
    assert np.abs(images - expected).max() > 0, "computed in float32"
    np.testing.assert_allclose(images, expected, atol=0.1)
    scores, _ = Discriminator(CONFIG, dtype="mixed_bfloat16")(images, resolution=16)
    assert scores.dtype == tf.float32


def test_resampling_with_a_box_rounds_no_more_in_bfloat16_than_with_4x4_kernels(
    latents, labels, monkeypatch
):
    expected = Generator(CONFIG, seed=4)(latents, labels, resolution=16)
    errors = {}
    for method in ("box", "kernel_4x4"):
        monkeypatch.setattr(resampling, "fastest_method", lambda method=method: method)
        images = Generator(CONFIG, seed=4, dtype="mixed_bfloat16")(latents, labels, resolution=16)
        errors[method] = np.sqrt(np.mean(np.square(images - expected)))
    assert 0 < errors["box"] < 1.2 * errors["kernel_4x4"]


def test_initial_weights_depend_on_the_seed_and_on_nothing_else():
    first, same, other = (Generator(CONFIG, seed=seed) for seed in (1, 1, 2))
    deeper = Generator(NetworkConfig(resolution=32, fmap_base=64, fmap_max=8, label_size=2), seed=1)
    for path, variable in first.variables.items():
        np.testing.assert_array_equal(variable, same.variables[path])
        np.testing.assert_array_equal(variable, deeper.variables[path])
    kernels = [path for path in first.variables if path.endswith("kernel")]
    assert all((first.variables[p].numpy() != other.variables[p].numpy()).any() for p in kernels)


def test_a_resolution_without_layers_is_refused(latents, labels):
    with pytest.raises(ValueError, match="must be one of .*16.* Received: 32"):
        Generator(CONFIG)(latents, labels, resolution=32)


def test_a_fade_at_4x4_is_refused(latents, labels):
    with pytest.raises(ValueError, match="4x4 has no fade"):
        Generator(CONFIG)(latents, labels, resolution=4, alpha=tf.constant(0.5))
