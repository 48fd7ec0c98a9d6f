"""Histograms of the weights and gradients of both networks, for `--histograms`."""

from collections.abc import Iterator

import keras
import numpy as np

from pgan_tf.step.train_state import TrainState

_BUCKETS = 50


def histograms(
    state: TrainState, *, resolution: int, fading: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a histogram of every weight that a stage trains, and of its gradient.

    The gradient is Adam's first moment: with beta1 = 0, as in the paper, that is the gradient of
    the last update, the mean over replicas.

    Args:
      state: the training state, with both networks.
      resolution: the stage's, in pixels.
      fading: whether the stage fades.

    Yields:
      A tag and `[k 3]` float64 rows of left edge, right edge and count; values that are not finite
      are left out. The tags are `weights_{network}/{layer}/{weight}`, with `_gradient` appended
      for gradients.
    """
    for network, optimizer in (
        (state.generator, state.generator_optimizer),
        (state.discriminator, state.discriminator_optimizer),
    ):
        moments = {variable.path: variable for variable in optimizer.variables}
        for weight in network.trainable_variables_at(resolution, fading=fading):
            moment = moments[f"{optimizer.name}/{weight.path.replace('/', '_')}_momentum"]
            tag = f"weights_{network.name}/{weight.path}"
            yield tag, _histogram(weight)
            yield f"{tag}_gradient", _histogram(moment)


def _histogram(variable: keras.Variable) -> np.ndarray:
    # On the host: tf.summary.histogram would take 240 bytes per weight on the device.
    values = variable.numpy().astype(np.float64).ravel()
    values = values[np.isfinite(values)]
    if len(values) and values.min() == values.max():
        # New biases are all equal. NumPy would make a bucket 1 wide, out of all proportion to the
        # later ones.
        return np.array([[values[0], values[0], len(values)]])
    counts, edges = np.histogram(values, bins=_BUCKETS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)
