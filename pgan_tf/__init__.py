"""A TensorFlow 2 / Keras 3 distributed trainer for Progressive Growing of GANs.

    import pgan_tf

    generator = pgan_tf.load_generator("runs/photos")  # a Keras model
    images = generator(latents)                        # [b h w c] float32 in [-1, 1]

Names are loaded when they are first used, so that importing the package does not import TensorFlow.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgan_tf.config import TrainConfig
    from pgan_tf.loop import TrainResult, train
    from pgan_tf.saved_generator import load_generator

_HOMES = {
    "TrainConfig": "pgan_tf.config",
    "TrainResult": "pgan_tf.loop",
    "load_generator": "pgan_tf.saved_generator",
    "train": "pgan_tf.loop",
}

__all__ = ["TrainConfig", "TrainResult", "load_generator", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
