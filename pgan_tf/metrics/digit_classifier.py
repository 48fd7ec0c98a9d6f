"""A classifier of handwritten digits, trained or loaded from a `.keras` file."""

import os
from typing import TYPE_CHECKING

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import user_path
from tfrecords_tools.format import sha256_of
from tfrecords_tools.untrusted.keras_file import load_keras_file

if TYPE_CHECKING:
    import keras

_BATCH_SIZE = 1000
_TRAINING_BATCH_SIZE = 64


class DigitClassifier:
    """Classifies digits with a Keras model.

    Attributes:
      name: of its file.
      digest: SHA-256 of its file, for caches.
    """

    def __init__(self, model: "keras.Model", *, name: str, digest: str):
        self.name = name
        self.digest = digest
        self._model = model

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the most likely digits `[n]` int64 of images `[n h w]` uint8.

        Raises:
          UserError: the images do not have the size that the model takes.
        """
        size = self._model.input_shape[1:3]
        if any(
            wanted not in (None, got) for wanted, got in zip(size, images.shape[1:], strict=True)
        ):
            height, width = ("any" if side is None else side for side in size)
            raise UserError(
                f"{self.name}: reads digits of {width}x{height} pixels."
                f" Received: {images.shape[2]}x{images.shape[1]}"
            )
        digits = np.empty(len(images), np.int64)
        for start in range(0, len(images), _BATCH_SIZE):
            batch = images[start : start + _BATCH_SIZE, ..., None]
            digits[start : start + len(batch)] = np.argmax(self._model(batch), axis=1)
        return digits


def load_digit_classifier(path: str | os.PathLike) -> DigitClassifier:
    """Load a classifier.

    Args:
      path: a `.keras` file of a model such as those of `train_digit_classifier`: it takes
        `[n h w 1]` pixels from 0 to 255, white on black, and returns `[n 10]` scores.

    Raises:
      UserError: there is no such file, or it is not such a model.
    """
    path = user_path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a classifier of digits as a .keras file")
    try:
        model = load_keras_file(path)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # Keras fails in any way on a damaged file
        raise UserError(f"{path}: not a Keras model that can be loaded: {error}") from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        shapes = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
    else:
        shapes = f"{_shape(model.inputs[0])} to {_shape(model.outputs[0])}"
        rank_and_channels = len(model.input_shape), model.input_shape[-1]
        if rank_and_channels == (4, 1) and tuple(model.output_shape[1:]) == (10,):
            return DigitClassifier(model, name=path.name, digest=sha256_of(path))
    raise UserError(
        f"{path}: not a classifier of digits: expected [n, h, w, 1] to [n, 10]. Received: {shapes}"
    )


def train_digit_classifier(
    images: np.ndarray, labels: np.ndarray, *, epochs: int = 10, seed: int = 0
) -> "keras.Model":
    """Train a small convolutional network.

    Args:
      images: `[n h w]` uint8, white on black, at least 4x4, of the same size as the images to
        classify: MNIST's 28x28 are padded to 32x32 in MNIST-RGB.
      labels: `[n]` integers from 0 to 9.
      epochs: number of times that each image is shown.
      seed: of the weights, the order of images, and dropout.

    Returns:
      A compiled model: `[n h w 1]` pixels from 0 to 255 to `[n 10]` scores before the softmax.

    Raises:
      UserError: images and labels don't fit together.
    """
    import keras
    import tensorflow as tf

    _check(images, labels)
    seeds = (int(value) for value in np.random.SeedSequence(seed).generate_state(16))

    def initial() -> keras.Initializer:
        return keras.initializers.HeNormal(seed=next(seeds))

    def convolution(filters: int) -> keras.Layer:
        return keras.layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer=initial()
        )

    model = keras.Sequential(
        [
            keras.Input([*images.shape[1:], 1]),
            keras.layers.Rescaling(1 / 255),
            convolution(32),
            keras.layers.MaxPooling2D(),
            convolution(64),
            convolution(64),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.4, seed=next(seeds)),
            keras.layers.Dense(128, "relu", kernel_initializer=initial()),
            keras.layers.Dropout(0.4, seed=next(seeds)),
            keras.layers.Dense(10, kernel_initializer=initial()),
        ],
        name="digit_classifier",
    )
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # Compiling would take longer than it saves.
        jit_compile=False,
    )
    # Shuffled here, because `fit` would shuffle by the process's global seed.
    batches = (
        tf.data.Dataset.from_tensor_slices((images[..., None], labels))
        .shuffle(len(images), seed=seed, reshuffle_each_iteration=True)
        .batch(_TRAINING_BATCH_SIZE)
    )
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    return model


def _check(images: np.ndarray, labels: np.ndarray) -> None:
    if images.ndim != 3 or images.dtype != np.uint8 or min(images.shape[1:], default=0) < 4:
        raise UserError(
            "a classifier of digits is trained on [n h w] uint8 images of at least 4x4."
            f" Received: {list(images.shape)} {images.dtype}"
        )
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"labels of {len(images)} digits must be [{len(images)}] integers."
            f" Received: {list(labels.shape)} {labels.dtype}"
        )
    if not len(labels) or not 0 <= labels.min() <= labels.max() <= 9:
        raise UserError("labels of digits must be from 0 to 9, and at least one")


def _shape(tensor: "keras.KerasTensor") -> str:
    return str(list(tensor.shape)).replace("None", "n")
