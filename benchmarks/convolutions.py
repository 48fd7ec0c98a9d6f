"""Speed of single convolutions on a GPU, compiled by XLA, by several ways of computing them.

    python benchmarks/convolutions.py [--dtype=float32] [--resolution=1024] [--ways=conv,product]

Prints a line of JSON for each convolution of networks of that resolution (fmap_base 8192, fmap_max
512) and each way of computing it: microseconds of the forward pass, of the gradient of the images,
and of that of the kernel, each of a batch of four images.

    conv        cuDNN's
    product     1x1 kernels: a product of matrices, pixels by features
    blocks      3x3 kernels: on blocks of 2x2 pixels, with four times the features, which fill the
                matrix units better; moving pixels into blocks and back counts
    patches     3x3 kernels: copies of the image shifted nine times, and a product
    separate    resampling and convolution one after the other, in place of a 4x4 kernel
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.distribution.devices import let_gpu_memory_grow
from pgan_tf.distribution.xla_environment import set_up_xla
from pgan_tf.layers.kernels import resampling

Way = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
# Several images in one call, so that starting it takes no time next to them.
_IMAGES, _BATCHES, _TURNS = 4, 6, 5


def conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve `[b h w in]`."""
    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")


def product(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Multiply pixels by a 1x1 kernel."""
    return tf.tensordot(x, kernel[0, 0], 1)


def patches(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Multiply patches of 3x3 pixels by the kernel."""
    height, width, channels = x.shape[1:]
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return tf.tensordot(tf.concat(shifted, -1), tf.reshape(kernel, [9 * channels, -1]), 1)


def blocks(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve blocks of 2x2 pixels."""
    # [window in out tap]: which weight of the kernel connects two pixels of a block's window.
    taps = np.zeros([3, 2, 2, 3], np.float32)
    for window, source, target in np.ndindex(3, 2, 2):
        tap = 2 * (window - 1) + source - target + 1
        if 0 <= tap < 3:
            taps[window, source, target, tap] = 1
    taps = tf.constant(taps, x.dtype)
    channels, filters = kernel.shape[2:]
    larger = tf.einsum("tiom,unpq,mqcd->tuincopd", taps, taps, kernel)
    larger = tf.reshape(larger, [3, 3, 4 * channels, 4 * filters])
    return tf.nn.depth_to_space(conv(tf.nn.space_to_depth(x, 2), larger), 2)


def resampled(resample: str, method: str) -> Way:
    """Return a way to convolve and resample."""
    function = {
        "upscale": resampling.upscale_convolve,
        "downscale": resampling.convolve_downscale,
    }[resample]
    return lambda x, kernel: function(x, kernel, method)


class Case(NamedTuple):
    """A convolution of the networks.

    Attributes:
      name: of the case.
      side: of its input in pixels.
      channels: of its input.
      filters: of its output.
      kernel_size: side of its kernel.
      ways: of computing it.
    """

    name: str
    side: int
    channels: int
    filters: int
    kernel_size: int
    ways: dict[str, Way]


def cases(resolution: int) -> list[Case]:
    """Return the convolutions of networks of a resolution, each kind once."""
    network = NetworkConfig(resolution=resolution)
    found, side = [], resolution
    features = network.discriminator_features
    found.append(Case("from RGB", side, 3, features(side), 1, {"conv": conv, "product": product}))
    found.append(Case("to RGB", side, features(side), 3, 1, {"conv": conv, "product": product}))
    while side >= 4:
        here = features(side)
        ways: dict[str, Way] = {"conv": conv, "blocks": blocks, "patches": patches}
        found.append(Case("3x3", side, here, here, 3, ways))
        if side > 4:
            below = features(side // 2)
            for resample, channels, filters, at in (
                ("downscale", here, below, side),
                ("upscale", below, here, side // 2),
            ):
                ways = {
                    name: resampled(resample, method)
                    for name, method in (("conv", "kernel_4x4"), ("separate", "separate"))
                }
                found.append(Case(resample, at, channels, filters, 3, ways))
        side //= 2
    return found


def measure(case: Case, way: Way, dtype: tf.DType) -> dict[str, float]:
    """Return microseconds of a batch: of the forward pass and of both gradients."""
    random = tf.random.Generator.from_seed(1)

    def normal(*shape: int) -> tf.Tensor:
        return tf.cast(random.normal(shape), dtype)

    batches = [normal(_IMAGES, case.side, case.side, case.channels) for _ in range(_BATCHES)]
    kernel = normal(case.kernel_size, case.kernel_size, case.channels, case.filters)
    upstream = [normal(*way(batches[0], kernel).shape) for _ in range(_BATCHES)]

    def forward(x: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return way(x, kernel)

    def of_images(x: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        return tf.gradients(way(x, kernel), x, upstream)[0]

    def of_kernel(x: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        kernels = tf.identity(kernel)
        return tf.gradients(way(x, kernels), kernels, upstream)[0]

    result = {}
    for name, compute in (("forward", forward), ("images", of_images), ("kernel", of_kernel)):
        run = tf.function(
            lambda batches, upstream, compute=compute: [
                compute(*pair) for pair in zip(batches, upstream, strict=True)
            ],
            autograph=False,
            jit_compile=True,
        )
        tf.reduce_sum(run(batches, upstream)[-1]).numpy()
        seconds = []
        for _ in range(_TURNS):
            started = time.perf_counter()
            tf.reduce_sum(run(batches, upstream)[-1]).numpy()
            seconds.append(time.perf_counter() - started)
        result[name] = 1e6 * statistics.median(seconds) / _BATCHES
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--ways", help="only these, separated by commas")
    given = parser.parse_args()
    set_up_xla("")
    let_gpu_memory_grow()
    for case in cases(given.resolution):
        for name, way in case.ways.items():
            if given.ways and name not in given.ways.split(","):
                continue
            microseconds = measure(case, way, tf.as_dtype(given.dtype))
            row = {**case._asdict(), "way": name, "dtype": given.dtype}
            del row["ways"]
            row |= {key: round(value, 1) for key, value in microseconds.items()}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
