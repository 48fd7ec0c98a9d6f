"""Features of DINOv2, Keras's own model, for distances that see what people see.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023. Stein et al.,
"Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion
models", NeurIPS 2023, find that Fréchet distances of its ViT-L/14 agree with people where FIDs do
not. As there: squares of 224x224, bicubic with antialiasing, normalized by ImageNet's colors; the
features are the class token's, after the last layer norm.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from pgan_tf.metrics.clean_resize import resize_clean, resize_tensor
from pgan_tf.metrics.features import FeatureExtractor, Features, check_features
from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require
from tfrecords_tools.files import user_path
from tfrecords_tools.untrusted.json_file import parse_object, read_object
from tfrecords_tools.untrusted.keras_file import count_weights
from tfrecords_tools.untrusted.zip_archive import open_keras_archive

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# `--features=dinov2` of commands.
NAME = "dinov2"
PRESET = "dinov2_large"
DIGEST_PREFIX = "DINOv2 "
SIDE = 224
# Of ImageNet's colors, of values from 0 to 1.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BATCH_SIZE = 32
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# ViT-L/14, the one of published distances.
_PUBLISHED = {"patch_size": 14, "num_layers": 24, "hidden_dim": 1024, "num_register_tokens": 0}
# The arguments of the network that a file may set, and their largest values: several times those of
# the largest network, ViT-g/14.
_NUMBERS = {
    "patch_size": 64,
    "num_layers": 256,
    "hidden_dim": 1 << 13,
    "num_heads": 256,
    "intermediate_dim": 1 << 15,
}
_MORE_NUMBERS = {"num_register_tokens": 64}
_SWITCHES = ("use_mask_token", "use_swiglu_ffn", "antialias_in_interpolation")
_SHAPES = ("image_shape", "position_embedding_shape")
_MAX_SIDE = 2048


class DINOv2Extractor:
    """DINOv2 as an extractor of features.

    Attributes:
      name: see `FeatureExtractor`.
      digest: see `FeatureExtractor`; SHA-256 of the weights.
    """

    def __init__(self, model: "keras.Model", name: str):
        """Take a network.

        Args:
          model: a `keras_hub.models.DINOV2Backbone` of 224x224 images.
          name: of its preset, file or folder.
        """
        self.name = f"DINOv2 ({name})"
        self.digest = f"{DIGEST_PREFIX}{_digest(model)}"
        self._model = model
        self._graph: Any = None

    def __call__(self, images: np.ndarray) -> Features:
        """Return features `[b d]` of `[b h w 3]` uint8 images of any size.

        Raises:
          UserError: the images have another shape or type, or the features are not finite.
        """
        import tensorflow as tf

        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or not len(images):
            raise UserError(
                f"{self.name} takes at least one image, [b h w 3] uint8."
                f" Received: {list(images.shape)} {images.dtype}"
            )
        if self._graph is None:
            shape = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)
            self._graph = tf.function(self._of_resized, input_signature=[shape])
        batches = [
            self._graph(resize_clean(images[start : start + _BATCH_SIZE], SIDE)).numpy()
            for start in range(0, len(images), _BATCH_SIZE)
        ]
        found = np.concatenate(batches)
        return check_features(found, None, count=len(images), origin=self.name)

    def of_tensor(self, images: "tf.Tensor") -> "tf.Tensor":
        """Return the features of float32 images; see `differentiable.TensorExtractor`."""
        return self._of_resized(resize_tensor(images, SIDE))

    def _of_resized(self, images: "tf.Tensor") -> "tf.Tensor":
        """Return features `[b d]` of `[b 224 224 3]` float32 images from 0 to 255."""
        normalized = (images / 255 - np.array(_MEAN, np.float32)) / np.array(_DEVIATION, np.float32)
        return self._model({"images": normalized}, training=False)[:, 0]


def load_dinov2(path: str | os.PathLike | None = None) -> FeatureExtractor:
    """Load DINOv2.

    Args:
      path: a folder with a preset of `keras_hub`, or a `.keras` file of a `DINOV2Backbone`; None
        for ViT-L/14, which `keras_hub` downloads once, 1.2 GB.

    Raises:
      UserError: `keras_hub` is not installed, the network can't be downloaded, or there is no such
        network in the file or folder.
    """
    hub = require("keras_hub", "dinov2")
    if path is None:
        return DINOv2Extractor(_download(hub), PRESET)
    path = user_path(path)
    config = _check_config(_read_config(path), path)
    if any(config.get(name) != value for name, value in _PUBLISHED.items()):
        logging.warning(
            "%s is not ViT-L/14 without registers, as published: distances of its features can't be"
            " compared with published ones",
            path,
        )
    try:
        if path.is_dir():
            return DINOv2Extractor(_build(hub, config, path / _WEIGHTS, path), path.name)
        # Keras reads weights from files of this name alone.
        with tempfile.TemporaryDirectory() as directory, open_keras_archive(path) as archive:
            weights = Path(archive.extract(_WEIGHTS, directory))
            return DINOv2Extractor(_build(hub, config, weights, path), path.name)
    except KeyError as error:
        raise _refused(path, f"there is no {_WEIGHTS} in it") from error


def _download(hub: Any) -> "keras.Model":
    try:
        return hub.models.DINOV2Backbone.from_preset(
            PRESET, image_shape=(SIDE, SIDE, 3), dtype="float32"
        )
    except Exception as error:  # of the library that downloads, of any kind
        said = (str(error).strip().splitlines() or [""])[0].partition(" (Caused by")[0]
        raise UserError(
            f"the weights of DINOv2 can't be downloaded: {type(error).__name__}: {said[:200]}."
            f" Download the preset {PRESET} of keras_hub elsewhere, and name its folder or its"
            " .keras file by --dinov2=PATH (while training: --eval_dinov2=PATH)"
        ) from error


def _read_config(path: Path) -> dict[str, Any]:
    """Return what a preset's folder or a `.keras` file says of its network."""
    if path.is_dir():
        if not (path / _CONFIG).is_file() or not (path / _WEIGHTS).is_file():
            raise _refused(path, f"there is no {_CONFIG} with {_WEIGHTS} in it")
        return read_object(path / _CONFIG)
    if not path.is_file():
        raise _refused(path, "no such file or folder")
    with open_keras_archive(path) as archive:
        if not {_CONFIG, _WEIGHTS} <= set(archive.namelist()):
            raise _refused(path, f"there is no {_CONFIG} with {_WEIGHTS} in it")
        return parse_object(archive.read(_CONFIG), f"{path}: {_CONFIG} in it")


def _check_config(described: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the arguments of a network; nothing else of the file is believed.

    Raises:
      UserError: it is another network, or an argument is out of range.
    """
    given = described.get("config")
    if described.get("class_name") != "DINOV2Backbone" or not isinstance(given, dict):
        raise _refused(path, f"it holds {described.get('class_name')!s:.80}")
    config: dict[str, Any] = {}
    for name, most in {**_NUMBERS, **_MORE_NUMBERS}.items():
        least = 0 if name in _MORE_NUMBERS else 1
        value = given.get(name, 0)
        if type(value) is not int or not least <= value <= most:
            raise _refused(path, f"its {name} must be from {least} to {most}, not {value!r:.80}")
        config[name] = value
    for name in _SHAPES:
        sides = given.get(name)
        if not isinstance(sides, list) or len(sides) < 2 or sides[0] != sides[1]:
            raise _refused(path, f"its {name} is {sides!r:.80}")
        if type(sides[0]) is not int or not config["patch_size"] <= sides[0] <= _MAX_SIDE:
            raise _refused(path, f"its {name} is {sides!r:.80}")
        config[name] = (sides[0], sides[0], 3)
    if SIDE % config["patch_size"]:
        raise _refused(path, f"{SIDE} pixels are not whole patches of {config['patch_size']}")
    if config["hidden_dim"] % config["num_heads"]:
        raise _refused(path, f"its hidden_dim is no multiple of {config['num_heads']} heads")
    config |= {name: given[name] for name in _SWITCHES if isinstance(given.get(name), bool)}
    return config


def _build(hub: Any, config: dict[str, Any], weights: Path, path: Path) -> "keras.Model":
    """Return the network with its weights, once these have been found to be as many."""
    stored = count_weights(weights)
    width = config["hidden_dim"]
    # Fewer than all of them.
    claimed = config["num_layers"] * width * (4 * width + 2 * config["intermediate_dim"])
    if claimed > stored:
        raise _refused(path, f"damaged: it claims {claimed} weights or more, and holds {stored}")
    try:
        resized = {**config, "image_shape": (SIDE, SIDE, 3)}
        model = hub.models.DINOV2Backbone(**resized, dtype="float32")
        # Keras would leave out layers of the file that the network does not have.
        count = model.count_params() - _interpolated(resized) + _interpolated(config)
        if count != stored:
            raise ValueError(f"it has {stored} weights in place of {count}")
        model.load_weights(weights)
    except Exception as error:  # Keras fails in any way on weights that do not fit
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise _refused(path, reason) from error
    return model


def _interpolated(config: dict[str, Any]) -> int:
    """Return the number of weights that depend on the size of images; they follow from others."""
    return ((config["image_shape"][0] // config["patch_size"]) ** 2 + 1) * config["hidden_dim"]


def _digest(model: "keras.Model") -> str:
    digest = hashlib.sha256(f"{NAME} {SIDE}".encode())
    for variable in model.weights:
        value = np.ascontiguousarray(variable.numpy())
        digest.update(str(value.shape).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _refused(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: not DINOv2 as keras_hub saves it, a preset's folder or a .keras file: {reason}"
    )
