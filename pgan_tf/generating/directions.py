"""Directions in latent space that change images most, found without images, and moves along them.

"Closed-Form Factorization of Latent Semantics in GANs" (Shen and Zhou, CVPR 2021), section 3.
"""

from collections.abc import Sequence

import keras
import numpy as np

from pgan_tf.layers import EqualizedDense
from pgan_tf.networks.layer_table import FIRST_LAYER
from tfrecords_tools.errors import UserError


def find_directions(model: keras.Model, count: int) -> np.ndarray:
    """Find the directions along which latents change the first layer's output most.

    The first layer is affine: y = A z + b. To move latents by a step n of length 1 changes y by
    A n, whatever the latents. The n with the largest |A n|, each orthogonal to those before, are
    the eigenvectors of A^T A with the largest eigenvalues (equation 4 of the paper). Labels enter
    beside the latents; their columns of A do not count. The sign of an eigenvector is arbitrary:
    its largest component is made positive.

    Args:
      model: from `load_generator`, conditional or not.
      count: number of directions, from 1 to latent_size.

    Returns:
      `[count latent_size]` float32, orthogonal unit vectors by decreasing |A n|.

    Raises:
      UserError: `count` is out of its range, or the model has no such first layer.
    """
    kernel = _latent_kernel(model)
    latent_size = len(kernel)
    if not 1 <= count <= latent_size:
        raise UserError(
            f"--directions must be from 1 to {latent_size}, the size of the network's latents. "
            f"Received: {count}"
        )
    _, vectors = np.linalg.eigh(kernel @ kernel.T)  # A is the kernel's transpose
    directions = vectors.T[::-1][:count]  # by decreasing eigenvalue
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(count), largest])
    return (directions * signs[:, np.newaxis]).astype(np.float32)


def direction_effects(model: keras.Model, directions: np.ndarray) -> np.ndarray:
    """Return the change of the first layer's output along directions, relative to a random one's.

    Args:
      model: from `load_generator`.
      directions: `[n latent_size]`, unit vectors.

    Returns:
      `[n]` float64: |A n| divided by its root mean square over all n of length 1.
    """
    kernel = _latent_kernel(model)
    usual = np.sqrt(np.mean(np.sum(np.square(kernel), axis=1)))
    return np.linalg.norm(directions @ kernel, axis=1) / (usual if usual > 0 else 1.0)


def _latent_kernel(model: keras.Model) -> np.ndarray:
    """Return the first layer's weights of the latents, `[latent_size units]` float64.

    Raises:
      UserError: the model has no such layer.
    """
    layer = next((layer for layer in model.layers if layer.name == FIRST_LAYER), None)
    latent_size = int(model.inputs[0].shape[-1])
    if isinstance(layer, EqualizedDense):
        kernel = layer.scaled_kernel
    else:  # a file exported for plain Keras
        kernel = layer.kernel if isinstance(layer, keras.layers.Dense) else None
    if kernel is None or kernel.shape[0] < latent_size:
        raise UserError(
            f"directions are found in the weights of the layer {FIRST_LAYER}, [{latent_size} n] or "
            f"more. Received: a model named {model.name}, "
            + ("without it" if layer is None else f"whose layer is a {type(layer).__name__}")
        )
    return np.asarray(keras.ops.convert_to_numpy(kernel), np.float64)[:latent_size]


def step_along(model: keras.Model, moves: Sequence[tuple[int, float]]) -> np.ndarray:
    """Return the step of several moves, the sum of amount * direction.

    Args:
      model: from `load_generator`.
      moves: numbers of directions, from 1 in the order of `find_directions`, and amounts.

    Returns:
      `[latent_size]` float64, for `move_latents`.

    Raises:
      UserError: the model has no such direction.
    """
    latent_size = int(model.inputs[0].shape[-1])
    for number, _ in moves:
        if not 1 <= number <= latent_size:
            raise UserError(
                f"--move: the network has the directions 1 to {latent_size}. Received: {number}"
            )
    directions = find_directions(model, max(number for number, _ in moves))
    return np.sum([amount * directions[number - 1] for number, amount in moves], axis=0)


def move_latents(latents: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Move latents on their sphere.

    With n(x) = x / |x| and L = latent_size, the latents z become

        sqrt(L) n(sqrt(L) n(z) + step),  step = amount * direction (or a sum of several)

    On the sphere of radius sqrt(L), the component of random latents along any direction has a
    standard deviation of 1: so `amount` counts standard deviations. Most latents lie between -2
    and 2; 3 to 5 are a strong change, and ever larger amounts approach sqrt(L) * direction itself,
    whatever the latents. The result has the usual length, since a conditional network normalizes
    latents together with labels.

    Args:
      latents: `[... latent_size]`; of zeros, the result is the step's own direction.
      step: `[latent_size]`, or of a shape that broadcasts with the latents.

    Returns:
      `[... latent_size]` float32, of length sqrt(latent_size).
    """
    return on_sphere(on_sphere(latents) + step).astype(np.float32)


def on_sphere(latents: np.ndarray) -> np.ndarray:
    """Scale `[... latent_size]` to length sqrt(latent_size), float64; zeros stay zeros."""
    latents = np.asarray(latents, np.float64)
    length = np.linalg.norm(latents, axis=-1, keepdims=True)
    return latents * np.sqrt(latents.shape[-1]) / np.where(length > 0, length, 1.0)
