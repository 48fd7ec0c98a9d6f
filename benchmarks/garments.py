"""A classifier of Fashion-MNIST's garments, whose features stand in for Inception's.

    pgan-evaluate --metrics=fid --features=benchmarks/garments.py:features ...

reads the classifier from the file that GARMENTS_CLASSIFIER names, which `save_classifier` makes.
"""

import functools
import os
from pathlib import Path

import keras
import numpy as np

from pgan_tf.metrics import train_digit_classifier
from tfrecords_tools.files import whole_file
from tfrecords_tools.format import sha256_of
from tfrecords_tools.sources.idx import read_idx

VARIABLE = "GARMENTS_CLASSIFIER"
_BATCH_SIZE = 500
# Fashion-MNIST's 28x28 are padded to 32x32, as in pyramids.
_PADDING = ((0, 0), (2, 2), (2, 2))


def save_classifier(file: Path, data: Path, *, epochs: int = 6, limit: int | None = None) -> float:
    """Train a classifier on the whole training set.

    Args:
      file: the `.keras` file to write; whole or not at all.
      data: directory of Fashion-MNIST's four files.
      epochs: number of times that each image is shown.
      limit: of images, for trials; None for all.

    Returns:
      The accuracy on the test set.
    """
    images, labels = _read(data, "train")
    model = train_digit_classifier(images[:limit], labels[:limit], epochs=epochs)
    with whole_file(file) as temporary:
        model.save(temporary)
    images, labels = _read(data, "test")
    scores = model.predict(images[..., None], batch_size=_BATCH_SIZE, verbose=0)
    return float(np.mean(np.argmax(scores, axis=1) == labels))


def features(images: np.ndarray) -> np.ndarray:
    """Return the 128 features before the scores, of grayscale images `[b 32 32 3]` uint8."""
    return np.asarray(_extractor()(images[..., :1], training=False))


def _digest() -> str:
    """Return the classifier's version, by which pgan-evaluate knows features that it has kept."""
    file = os.environ.get(VARIABLE)
    return sha256_of(Path(file)) if file and Path(file).exists() else ""


features.digest = _digest()


@functools.cache
def _extractor() -> keras.Model:
    model = keras.saving.load_model(os.environ[VARIABLE])
    return keras.Model(model.inputs, model.layers[-2].output)


def _read(data: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return padded images `[n 32 32]` and labels `[n]` of the training set, or the test set."""
    prefix = "train" if split == "train" else "t10k"
    (images,) = data.glob(f"{prefix}-images-idx3-ubyte*")
    (labels,) = data.glob(f"{prefix}-labels-idx1-ubyte*")
    return np.pad(read_idx(images, 3), _PADDING), read_idx(labels, 1).astype(np.int64)
