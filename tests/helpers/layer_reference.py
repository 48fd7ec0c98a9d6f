"""Layers written out in NumPy, in float64, without a thought for speed."""

import numpy as np


def convolve(x, kernel, bias=0.0):
    """Same-padded convolution of `[b h w in]` with `[k k in out]`."""
    k = kernel.shape[0]
    padded = np.pad(x, [(0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)])
    height, width = x.shape[1:3]
    out = sum(
        np.einsum("bhwi,io->bhwo", padded[:, i : i + height, j : j + width], kernel[i, j])
        for i in range(k)
        for j in range(k)
    )
    return out + bias


def upscale(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def downscale(x):
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def leaky_relu(x):
    return np.where(x > 0, x, 0.2 * x)


def minibatch_stddev(x, group_size):
    """The extra channel, `[b]`, by the definition: sample i is in group i mod (b / G)."""
    batch = len(x)
    groups = batch // min(group_size, batch)
    value = np.empty(batch)
    for group in range(groups):
        members = [i for i in range(batch) if i % groups == group]
        value[members] = np.sqrt(x[members].var(axis=0) + 1e-8).mean()
    return value
