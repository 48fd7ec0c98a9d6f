"""A TensorFlow 2 / Keras 3 distributed trainer for Progressive Growing of GANs.

    import pgan_tf

    generator = pgan_tf.load_generator("runs/photos")  # a Keras model
    images = generator(latents)                        # [b h w c] float32 in [-1, 1]

Public names are listed in docs/reference/api.md. They are loaded on first use, so that importing
the package does not import TensorFlow.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

importlib.import_module("tfrecords_tools")  # refuses systems on which neither package works

if TYPE_CHECKING:
    from pgan_tf import layers, metrics
    from pgan_tf.config import (
        AugmentConfig,
        DataConfig,
        EvalConfig,
        LossConfig,
        NetworkConfig,
        OptimizerConfig,
        RunConfig,
        ScheduleConfig,
        TrainConfig,
    )
    from pgan_tf.exporting import Export, export_generator
    from pgan_tf.generating.directions import find_directions, move_latents
    from pgan_tf.generating.latents import looping_walks
    from pgan_tf.generating.sampler import Sampler
    from pgan_tf.generating.truncation import with_truncation
    from pgan_tf.generating.video import save_video
    from pgan_tf.networks.discriminator import Discriminator
    from pgan_tf.networks.generator import Generator
    from pgan_tf.projecting.project import project
    from pgan_tf.projecting.projection import Projection
    from pgan_tf.runs.grids import draw_latents, make_grid, to_uint8, to_uint16
    from pgan_tf.runs.saved_generator import describe_generator, load_generator
    from pgan_tf.training.loop import TrainResult, train
    from tfrecords_tools.errors import UserError
    from tfrecords_tools.shape import Base

_HOMES = {
    "AugmentConfig": "pgan_tf.config",
    "Base": "tfrecords_tools.shape",
    "DataConfig": "pgan_tf.config",
    "Discriminator": "pgan_tf.networks.discriminator",
    "EvalConfig": "pgan_tf.config",
    "Export": "pgan_tf.exporting",
    "Generator": "pgan_tf.networks.generator",
    "LossConfig": "pgan_tf.config",
    "NetworkConfig": "pgan_tf.config",
    "OptimizerConfig": "pgan_tf.config",
    "Projection": "pgan_tf.projecting.projection",
    "RunConfig": "pgan_tf.config",
    "Sampler": "pgan_tf.generating.sampler",
    "ScheduleConfig": "pgan_tf.config",
    "TrainConfig": "pgan_tf.config",
    "TrainResult": "pgan_tf.training.loop",
    "UserError": "tfrecords_tools.errors",
    "describe_generator": "pgan_tf.runs.saved_generator",
    "draw_latents": "pgan_tf.runs.grids",
    "export_generator": "pgan_tf.exporting",
    "find_directions": "pgan_tf.generating.directions",
    "load_generator": "pgan_tf.runs.saved_generator",
    "looping_walks": "pgan_tf.generating.latents",
    "make_grid": "pgan_tf.runs.grids",
    "move_latents": "pgan_tf.generating.directions",
    "project": "pgan_tf.projecting.project",
    "save_video": "pgan_tf.generating.video",
    "to_uint8": "pgan_tf.runs.grids",
    "to_uint16": "pgan_tf.runs.grids",
    "train": "pgan_tf.training.loop",
    "with_truncation": "pgan_tf.generating.truncation",
}
_MODULES = ("layers", "metrics")

__version__ = "0.2.0"

__all__ = [
    "AugmentConfig",
    "Base",
    "DataConfig",
    "Discriminator",
    "EvalConfig",
    "Export",
    "Generator",
    "LossConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "Projection",
    "RunConfig",
    "Sampler",
    "ScheduleConfig",
    "TrainConfig",
    "TrainResult",
    "UserError",
    "describe_generator",
    "draw_latents",
    "export_generator",
    "find_directions",
    "layers",
    "load_generator",
    "looping_walks",
    "make_grid",
    "metrics",
    "move_latents",
    "project",
    "save_video",
    "to_uint8",
    "to_uint16",
    "train",
    "with_truncation",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used."""
    if name in _MODULES:
        return importlib.import_module(f"pgan_tf.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})


if "keras" in sys.modules and sys.modules["keras"].config.backend() == "tensorflow":
    # Registers the layers, so that `keras.saving.load_model` knows them in saved generators.
    importlib.import_module("pgan_tf.layers")
