"""Truncation: images closer to the generator's mean, with less variety."""

import keras
import numpy as np

from pgan_tf.networks.generator import LATENT_NORM
from pgan_tf.runs.grids import Generate, quantize
from pgan_tf.runs.saved_generator import as_function


def with_truncation(model: keras.Model) -> keras.Model:
    """Return a generator with an input for truncation, which shares the given one's weights.

    The generator normalizes its latents (appendix A of the paper), so that their length has no
    effect, and neither scaling them nor redrawing their large components brings images closer to
    each other. Truncation scales the latents after they are normalized:

        features = bias + kernel . (truncation * normalized latents, normalized labels)

    Latents are symmetric about zero, so at truncation 0 the features are their mean over all
    latents, given the label. Truncation is thus linear interpolation from the mean features to
    those of the latents: 1 changes nothing, 0 gives every latent vector of a class the same image.

    Args:
      model: from `load_generator`.

    Returns:
      A model of the inputs `latents [b latent_size]`, `labels [b n]` if it is conditional, and
      `truncation [b 1]` in [0, 1]; the output is the generator's.

    Raises:
      ValueError: the model has no layer `latent_norm`, which every generator of this project has.
    """
    normalized = model.get_layer(LATENT_NORM).output
    head = keras.Model(_one_or_list(model.inputs), normalized)
    tail = keras.Model(normalized, model.outputs[0])
    inputs = [keras.Input(i.shape[1:], name=i.name, dtype="float32") for i in model.inputs]
    truncation = keras.Input([1], name="truncation", dtype="float32")
    x = head(_one_or_list(inputs))
    latent_size = inputs[0].shape[1]
    # Labels keep their weight: only the latents are drawn to the mean.
    x = keras.ops.concatenate(
        [x[:, :latent_size] * keras.ops.cast(truncation, x.dtype), x[:, latent_size:]], axis=1
    )
    return keras.Model([*inputs, truncation], tail(x), name="truncated_generator")


def truncated_function(
    model: keras.Model, truncation: float, *, bits: int | None = None
) -> Generate:
    """Return a generator at one truncation, from 0 to 1, as a function; see `as_function`."""
    if truncation == 1.0:
        return as_function(model, bits=bits)
    truncated = with_truncation(model)

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        column = np.full([len(latents), 1], truncation, np.float32)
        inputs = [latents, column] if labels is None else [latents, labels, column]
        images = truncated(inputs, training=False)
        return keras.ops.convert_to_numpy(quantize(images, bits) if bits else images)

    return generate


def _one_or_list(inputs: list) -> object:
    """Return a single input without its list, because Keras warns of a list in its place."""
    return inputs[0] if len(inputs) == 1 else inputs
