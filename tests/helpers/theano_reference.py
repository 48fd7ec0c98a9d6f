"""The Theano version's networks in NumPy: from arrays as they stand in its files to images.

Written from the description of its layout, independent of the package: convolutions are flipped, as
mathematics has it, and `[out in h w]`; every layer's weights are multiplied by its scale; the
discriminator activates before it downscales; groups of the minibatch deviation have 16 samples.
"""

import itertools

import numpy as np
from scipy.signal import convolve2d


def random_parameters(shapes, rng, scaled=True):
    """`param_values`: weights, scale and bias of each layer in turn.

    Args:
      shapes: of each layer's weights.
      rng: of the numbers.
      scaled: whether layers have a scale.
    """
    values = []
    for shape in shapes:
        values.append(rng.normal(size=shape).astype(np.float32))
        if scaled:
            values.append(np.array(rng.uniform(0.2, 0.6), np.float32))
        else:
            values[-1] *= np.float32(0.4)
        bias = shape[0] if len(shape) == 4 else shape[1]
        values.append(rng.normal(size=bias).astype(np.float32))
    return values


def generator_shapes(features, latent_size, channels):
    """Shapes of weights; `features` by resolution from 4x4 up."""
    shapes = [(features[0], latent_size, 4, 4), (features[0], features[0], 3, 3)]
    for below, here in itertools.pairwise(features):
        shapes += [(here, below, 3, 3), (here, here, 3, 3)]
    return shapes + [(n, channels) for n in reversed(features)]


def discriminator_shapes(features, last, channels):
    """Shapes of weights; `features` by resolution from 4x4 up, `last` those of the dense layer."""
    shapes = []
    for here, below in itertools.pairwise(reversed(features)):
        shapes += [(channels, here), (here, here, 3, 3), (below, here, 3, 3)]
    n = features[0]
    return [*shapes, (channels, n), (n, n + 1, 3, 3), (last, n, 4, 4), (last, 1)]


class _Parameters:
    def __init__(self, values, scaled):
        self._values = iter(values)
        self._scaled = scaled

    def next(self):
        weights = next(self._values)
        scale = next(self._values) if self._scaled else 1.0
        return weights * scale, next(self._values)


def generate(values, latents, resolutions, scaled=True):
    """Images `[b c h w]` at full resolution from latents `[b z]`."""
    parameters = _Parameters(values, scaled)
    weights, bias = parameters.next()
    z = latents / np.sqrt(np.mean(latents**2, axis=1, keepdims=True) + 1e-8)
    # A full convolution of one pixel: a copy of the kernel a latent component.
    x = np.einsum("bi,oiyx->boyx", z, weights) + bias[:, None, None]
    x = _normalize(_activate(x))
    x = _normalize(_activate(_convolve(x, *parameters.next())))
    for _ in range(resolutions - 1):
        x = x.repeat(2, axis=2).repeat(2, axis=3)
        x = _normalize(_activate(_convolve(x, *parameters.next())))
        x = _normalize(_activate(_convolve(x, *parameters.next())))
    return _one_by_one(x, *parameters.next())  # the first toRGB is the full resolution's


def judge(values, images, resolutions, scaled=True):
    """Scores `[b]` of images `[b c h w]` at full resolution."""
    parameters = _Parameters(values, scaled)
    x = _activate(_one_by_one(images, *parameters.next()))
    for _ in range(resolutions - 1):
        x = _activate(_convolve(x, *parameters.next()))
        x = _activate(_convolve(x, *parameters.next()))
        b, c, h, w = x.shape
        x = x.reshape(b, c, h // 2, 2, w // 2, 2).mean((3, 5))
        parameters.next()  # a fromRGB of a lower resolution
    x = _activate(_convolve(_with_deviation(x), *parameters.next()))
    weights, bias = parameters.next()
    # A valid convolution of a 4x4 image by a 4x4 kernel: one pixel.
    x = _activate(np.einsum("biyx,oiyx->bo", x, weights[:, :, ::-1, ::-1]) + bias)
    weights, bias = parameters.next()
    return (x @ weights + bias)[:, 0]


def _activate(x):
    return np.where(x > 0, x, 0.2 * x)


def _normalize(x):
    return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)


def _convolve(x, weights, bias):
    def one(image, kernels):
        return sum(convolve2d(i, k, mode="same") for i, k in zip(image, kernels, strict=True))

    return np.array(
        [[one(image, w) + b for w, b in zip(weights, bias, strict=True)] for image in x]
    )


def _one_by_one(x, weights, bias):
    return np.einsum("bihw,io->bohw", x, weights) + bias[:, None, None]


def _with_deviation(x):
    groups = max(1, len(x) // 16)
    channel = np.empty([len(x), 1, *x.shape[2:]])
    for group in range(groups):
        members = x[group::groups]
        channel[group::groups] = np.sqrt(members.var(axis=0) + 1e-8).mean()
    return np.concatenate([x, channel], axis=1)
