"""Speed of sliced Wasserstein distance and MS-SSIM, next to NumPy that loops over images.

    python benchmarks/metrics.py [--num_images=256] [--resolution=64] [--on_disk=/tmp]
        [--metrics=swd,ms_ssim]

Measures two sets of noise on smooth colours, each measurement in a process of its own, and prints
one line of JSON last. Each is computed twice, and the second time counts, in which nothing has to
be compiled; `first_seconds` is what the first took longer. The pyramids of swd are computed on a
GPU if TensorFlow has one.

    images_per_second        of both sets together, from images to the figure
    plain_images_per_second  the same by loops over images, pairs and directions
    ratio                    the first of these over the second
    cpu_ms_per_image         processor time, which a machine with other work to do tells better
    plain_cpu_ms_per_image
    cpu_ratio                the second of these over the first
    peak_memory_mb           memory beyond what the imports and the images take, 10^6 bytes; patches
                             in files (--on_disk) count while their pages stay in memory
    difference               between both figures, relative. Patches and directions are drawn
                             differently; MS-SSIM must agree to rounding

Sorting takes n log n, and what fits the processor's cache is sorted faster: with fewer
--plain_images the plain version looks better than it is.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pgan_tf import metrics

# (reals, fakes, directory for files or None) -> a figure
Measured = Callable[[np.ndarray, np.ndarray, str | None], float]

_BATCH = 64
_KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).astype(np.float32) / 256


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num_images", type=int, default=256, help="of each set")
    parser.add_argument(
        "--plain_images", type=int, default=None, help="fewer for plain versions; 0 for none"
    )
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--channels", type=int, default=3, choices=(1, 3))
    parser.add_argument("--on_disk", default=None, help="keep patches in files in this directory")
    parser.add_argument("--metrics", default="swd,ms_ssim")
    given = parser.parse_args()
    if given.plain_images is None:
        given.plain_images = given.num_images
    shape = (given.resolution, given.channels)
    result: dict[str, object] = {"benchmark": "metrics", **vars(given)}
    functions = {"swd": (swd, plain_swd), "ms_ssim": (ms_ssim, plain_ms_ssim)}
    for name in given.metrics.split(","):
        fast, plain = functions[name]
        ours = measured(fast, given.num_images, *shape, given.on_disk)
        result[name] = figures = {
            "images_per_second": round(1 / ours["seconds"], 2),
            "first_seconds": round(ours["first"], 1),
            "cpu_ms_per_image": round(1000 * ours["cpu"], 3),
            "peak_memory_mb": round(ours["memory"] / 1e6),
        }
        if given.plain_images:
            theirs = measured(plain, given.plain_images, *shape, None)
            same = measured(fast, given.plain_images, *shape, given.on_disk)
            figures |= {
                "plain_images_per_second": round(1 / theirs["seconds"], 2),
                "ratio": round(theirs["seconds"] / ours["seconds"], 1),
                "plain_cpu_ms_per_image": round(1000 * theirs["cpu"], 3),
                "cpu_ratio": round(theirs["cpu"] / ours["cpu"], 1),
                "difference": float(f"{abs(same['figure'] / theirs['figure'] - 1):.2g}"),
            }
        sys.stderr.write(f"{name}: {figures}\n")
    print(json.dumps(result))


def measured(
    function: Callable[..., float],
    count: int,
    resolution: int,
    channels: int,
    directory: str | None,
) -> dict[str, float]:
    """Runs a function in a process of its own; seconds and processor time are of one image."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (function, count, resolution, channels, directory))


def _measured(
    function: Callable[..., float],
    count: int,
    resolution: int,
    channels: int,
    directory: str | None,
) -> dict[str, float]:
    tf.constant(0)  # starts TensorFlow, which takes memory
    reals, fakes = (make_images(count, resolution, channels, seed) for seed in (0, 1))
    before = _peak_memory()
    started = time.monotonic()
    function(reals, fakes, directory)
    first = time.monotonic() - started
    started, cpu = time.monotonic(), time.process_time()
    figure = function(reals, fakes, directory)
    seconds = time.monotonic() - started
    return {
        "figure": figure,
        "first": first - seconds,
        "seconds": seconds / (2 * count),
        "cpu": (time.process_time() - cpu) / (2 * count),
        "memory": _peak_memory() - before,
    }


def _peak_memory() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def make_images(count: int, resolution: int, channels: int, seed: int) -> np.ndarray:
    """`[count resolution resolution channels]` uint8; the second set is noisier."""
    random = np.random.default_rng(seed)
    colours = random.uniform(30, 220, (count, 4, 4, channels)).astype(np.float32)
    smooth = colours.repeat(resolution // 4, 1).repeat(resolution // 4, 2)
    for part in np.array_split(smooth, max(1, count // _BATCH)):
        part += random.normal(0, 10 + 10 * seed, part.shape)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def swd(reals: np.ndarray, fakes: np.ndarray, directory: str | None) -> float:
    """The project's, batch by batch."""
    with tempfile.TemporaryDirectory(dir=directory) as name:

        def allocate(level: str, shape: tuple[int, int]) -> np.ndarray:
            if directory is None:
                return np.empty(shape, np.float32)
            with tempfile.TemporaryFile(dir=name) as file:
                return np.memmap(file, np.float32, "w+", shape=shape)

        patches = []
        for seed, images in enumerate((reals, fakes)):
            count, height, width, channels = images.shape
            sampler = metrics.PatchSampler(
                count, (height, width), channels, seed=seed, allocate=allocate
            )
            for start in range(0, count, _BATCH):
                sampler.add(images[start : start + _BATCH])
            patches.append(sampler.finish())
        return metrics.swd(*patches, channels=channels)["average"]


def ms_ssim(reals: np.ndarray, fakes: np.ndarray, directory: str | None) -> float:
    """The project's, of pairs of a real and a fake."""
    return float(metrics.ms_ssim(reals, fakes).mean())


def plain_swd(reals: np.ndarray, fakes: np.ndarray, directory: str | None) -> float:
    """As one would write it down: image by image, patch by patch, direction by direction."""
    random = np.random.default_rng(0)
    levels = metrics.swd_sizes(*reals.shape[1:3])
    distances = []
    sets = [[plain_pyramid(image, len(levels)) for image in images] for images in (reals, fakes)]
    for level in range(len(levels)):
        patches = []
        for pyramids in sets:
            found = []
            for pyramid in pyramids:
                band = pyramid[level]
                for _ in range(128):
                    y, x = random.integers(0, len(band) - 6, 2)
                    found.append(band[y : y + 7, x : x + 7])
            array = np.array(found)
            array = (array - array.mean((0, 1, 2))) / array.std((0, 1, 2))
            patches.append(array.reshape(len(array), -1))
        for _ in range(512):
            direction = random.standard_normal(patches[0].shape[1]).astype(np.float32)
            direction /= np.linalg.norm(direction)
            first, second = (np.sort(array @ direction) for array in patches)
            distances.append(1000 * np.abs(first - second).mean())
    return float(np.mean(distances))


def plain_pyramid(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """The Laplacian pyramid of one image, by the 5x5 filter as it stands."""
    pyramid = [image.astype(np.float32)]
    for _ in range(levels - 1):
        smaller = plain_filter(pyramid[-1], _KERNEL)[::2, ::2]
        spread = np.zeros_like(pyramid[-1])
        spread[::2, ::2] = smaller
        pyramid[-1] = pyramid[-1] - plain_filter(spread, 4 * _KERNEL)
        pyramid.append(smaller)
    return pyramid


def plain_filter(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """One image under a 5x5 filter."""
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    height, width, _ = image.shape
    result = np.zeros_like(image)
    for y in range(5):
        for x in range(5):
            result += kernel[y, x] * padded[y : y + height, x : x + width]
    return result


def plain_ms_ssim(reals: np.ndarray, fakes: np.ndarray, directory: str | None) -> float:
    """As one would write it down: pair by pair, the whole window at every pixel."""
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    found = []
    for first, second in zip(reals.astype(np.float64), fakes.astype(np.float64), strict=True):
        similarity = 1.0
        for scale, weight in enumerate(weights):
            structure, whole = plain_ssim(first, second)
            similarity *= max(whole if scale == 4 else structure, 0.0) ** weight
            if scale < 4:
                half = len(first) // 2
                shape = (half, 2, half, 2, first.shape[2])
                first, second = (i.reshape(shape).mean((1, 3)) for i in (first, second))
        found.append(similarity)
    return float(np.mean(found))


def plain_ssim(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Structure alone and the whole similarity of one pair at one scale."""
    size = min(11, len(first))
    at = np.arange(size) - (size - 1) / 2
    window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * (size * 1.5 / 11) ** 2))
    window = (window / window.sum())[:, :, None]
    kept = len(first) - size + 1

    def mean(image: np.ndarray) -> np.ndarray:
        result = np.zeros((kept, kept, image.shape[2]))
        for y in range(size):
            for x in range(size):
                result += window[y, x] * image[y : y + kept, x : x + kept]
        return result

    mean1, mean2 = mean(first), mean(second)
    square1, square2 = mean(first**2) - mean1**2, mean(second**2) - mean2**2
    product = mean(first * second) - mean1 * mean2
    structure = (2 * product + 7.65**2) / (square1 + square2 + 7.65**2)
    luminance = (2 * mean1 * mean2 + 2.55**2) / (mean1**2 + mean2**2 + 2.55**2)
    return float(structure.mean()), float((structure * luminance).mean())


if __name__ == "__main__":
    main()
