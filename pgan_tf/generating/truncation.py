"""Truncation: images nearer to the generator's average, at the price of variety."""

import keras
import numpy as np

from pgan_tf.networks.generator import LATENT_NORM
from pgan_tf.runs.grids import Generate
from pgan_tf.runs.saved_generator import as_function


def with_truncation(model: keras.Model) -> keras.Model:
    """A generator with one more input, sharing its weights.

    The generator normalises its latents (appendix A of the paper), so that their length says
    nothing, and neither scaling them nor redrawing their large components would bring images closer
    to each other. What truncation scales is the latents once they are normalised:

        features = bias + kernel . (truncation * normalised latents, normalised labels)

    Latents are symmetric about zero, so the mean of these features over all latents, given the
    label, is what remains at 0. Truncation is thus linear interpolation from the mean features to
    those of the latents, deterministic for each of them: 1 changes nothing, 0 gives every latent
    of a class the same image.

    Args:
      model: of `load_generator`.

    Returns:
      Inputs `latents [b latent_size]`, `labels [b n]` where it is conditional, and
      `truncation [b 1]` in [0, 1]; the output is the generator's.

    Raises:
      ValueError: the model has no layer `latent_norm`, as every generator of this project has.
    """
    normalised = model.get_layer(LATENT_NORM).output
    head = keras.Model(_one_or_list(model.inputs), normalised)
    tail = keras.Model(normalised, model.outputs[0])
    inputs = [keras.Input(i.shape[1:], name=i.name, dtype="float32") for i in model.inputs]
    truncation = keras.Input([1], name="truncation", dtype="float32")
    x = head(_one_or_list(inputs))
    latent_size = inputs[0].shape[1]
    # Where labels are, they keep their weight: it is the latents' share that is drawn to the mean.
    x = keras.ops.concatenate(
        [x[:, :latent_size] * keras.ops.cast(truncation, x.dtype), x[:, latent_size:]], axis=1
    )
    return keras.Model([*inputs, truncation], tail(x), name="truncated_generator")


def truncated_function(model: keras.Model, truncation: float) -> Generate:
    """A generator at one truncation from 0 to 1, as a function of arrays."""
    if truncation == 1.0:
        return as_function(model)
    truncated = with_truncation(model)

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        column = np.full([len(latents), 1], truncation, np.float32)
        inputs = [latents, column] if labels is None else [latents, labels, column]
        return keras.ops.convert_to_numpy(truncated(inputs, training=False))

    return generate


def _one_or_list(inputs: list) -> object:
    """A lone input by itself, because Keras warns when it gets a list in its place."""
    return inputs[0] if len(inputs) == 1 else inputs
