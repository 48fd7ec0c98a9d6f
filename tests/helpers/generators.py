"""Tiny generators for tests: untrained, but with biases, which trained ones have."""

import numpy as np

from pgan_tf.config import NetworkConfig
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.saved_generator import GeneratorDescription, as_keras_model, save_generator

LATENT_SIZE = 8


def tiny_generator(
    *, resolution=8, label_size=0, alpha=None, channels=3, dtype="float32", options=()
):
    """A functional model, 8 feature maps wide; `options` are of `NetworkConfig`."""
    config = NetworkConfig(
        resolution=resolution,
        fmap_base=64,
        fmap_max=8,
        label_size=label_size,
        channels=channels,
        **dict(options),
    )
    generator = Generator(config, seed=3, dtype=dtype)
    rng = np.random.default_rng(4)
    for name, variable in generator.variables.items():
        if name.endswith("bias"):
            variable.assign(0.2 * rng.standard_normal(variable.shape))
        elif "norm/" in name:  # scales, and moving statistics
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return as_keras_model(generator, resolution=resolution, alpha=alpha)


def save_tiny_generator(path, *, description=None, **kwargs):
    """Saves one; returns the model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = tiny_generator(**kwargs)
    save_generator(path, model, GeneratorDescription.from_json(description or {}))
    return model
