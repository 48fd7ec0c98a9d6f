"""Names and layout of the weights in the original implementation's (fused) networks."""

import numpy as np

from pgan_tf.config.options import log2

_NAMES = {
    "generator": {
        "dense": "Dense",
        "dense_bias": "Dense",
        "conv": "Conv",
        "conv0": "Conv0_up",
        "conv1": "Conv1",
    },
    "discriminator": {
        "conv": "Conv",
        "conv0": "Conv0",
        "conv1": "Conv1_down",
        "dense0": "Dense0",
        "dense1": "Dense1",
    },
}


def original_name(network: str, path: str, final_resolution: int) -> str:
    """`G/8x8/Conv0_up/weight` for the generator's `8x8_conv0/kernel`."""
    layer, kind = path.split("/")
    kind = {"kernel": "weight", "bias": "bias"}[kind]
    if "_rgb_" in layer:
        direction, _, size = layer.split("_")
        lod = log2(final_resolution) - log2(int(size.split("x")[0]))
        return f"{ {'to': 'ToRGB', 'from': 'FromRGB'}[direction] }_lod{lod}/{kind}"
    size, layer = layer.split("_", 1)
    return f"{size}/{_NAMES[network][layer]}/{kind}"


def from_original(name: str, weight: np.ndarray) -> np.ndarray:
    """A weight, or its gradient, as an ordinary convolution's `[3 3 in out]`."""
    if name.endswith("Conv0_up/weight"):  # the filter of a transposed convolution, [3 3 out in]
        return weight[::-1, ::-1].transpose(0, 1, 3, 2)
    return weight
