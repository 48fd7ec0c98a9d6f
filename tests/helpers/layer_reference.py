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


def closeness(x, layer):
    """Features that minibatch discrimination appends, `[b kernels]`, sample by sample."""
    direction, log_scale, bias = (v.numpy().astype(np.float64) for v in layer.variables)
    features = np.empty([len(x), layer.kernels])
    for k in range(layer.kernels):
        columns = direction[:, k] / np.linalg.norm(direction[:, k], axis=0) * np.exp(log_scale[k])
        projected = x @ columns
        for i, own in enumerate(projected):
            others = np.delete(projected, i, axis=0)
            features[i, k] = np.exp(-np.abs(others - own).sum(axis=1)).sum() + bias[k]
    return features


def randomised(network, rng):
    """Give every variable of a network new values; return those by path."""
    for variable in network.variables.values():
        low, high = (0.5, 1.5) if "norm/" in variable.path else (-1.5, 1.5)
        variable.assign(rng.uniform(low, high, variable.shape))
    return {path: v.numpy().astype(np.float64) for path, v in network.variables.items()}


def weighted(x, name, weights, *, gain=2**0.5, equalized=True):
    """The product of a layer's weights by name, and its bias where it has one."""
    kernel, bias = weights[f"{name}/kernel"], weights.get(f"{name}/bias", 0.0)
    if equalized:
        kernel = kernel * gain / np.sqrt(np.prod(kernel.shape[:-1]))
    return x @ kernel + bias if kernel.ndim == 2 else convolve(x, kernel, bias)
