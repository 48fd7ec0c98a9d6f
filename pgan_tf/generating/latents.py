"""Latents from a file, of walks through latent space, and of sums of seeds."""

import os
import re

import numpy as np

from pgan_tf.runs.grids import draw_latents
from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.array_file import load_array

_TERM = re.compile(r"([+-]?)(\d{1,18})")


def read_latents(path: str | os.PathLike, latent_size: int) -> np.ndarray:
    """Read latents from a NumPy file.

    Args:
      path: of an `.npy` file.
      latent_size: components of the network's latents.

    Returns:
      `[n latent_size]` float32, n at least 1.

    Raises:
      UserError: it can't be read, has another shape, or holds anything other than finite numbers.
    """
    try:
        latents = load_array(path, f"--latents={path}")
    except OSError as error:
        raise UserError(f"--latents={path}: {error.strerror or error}") from error
    if latents.dtype.kind not in "fiu":
        raise UserError(f"--latents={path}: must hold real numbers. Received: {latents.dtype}")
    if latents.ndim != 2 or latents.shape[1] != latent_size or not len(latents):
        raise UserError(
            f"--latents={path}: must have the shape [n {latent_size}]. "
            f"Received: {list(latents.shape)}"
        )
    latents = latents.astype(np.float32)
    if not np.isfinite(latents).all():
        raise UserError(f"--latents={path}: row {_first_bad_row(latents)} is not finite in float32")
    return latents


def _first_bad_row(latents: np.ndarray) -> int:
    return int(np.argmin(np.isfinite(latents).all(axis=1)))


def looping_walks(
    count: int, frames: int, latent_size: int, *, smoothing: float, seed: int
) -> np.ndarray:
    """Return smooth walks through latent space that end where they begin.

    They are white noise, filtered along time by a Gaussian that wraps around, and scaled so that
    the latents of every frame are standard normal, as in training.

    Args:
      count: number of walks; the first walks of a seed are the same for every count.
      frames: length of a loop.
      latent_size: components of a latent vector.
      smoothing: standard deviation of the Gaussian, in frames.
      seed: of the noise.

    Returns:
      `[count frames latent_size]` float32.
    """
    noise = np.random.default_rng(seed).standard_normal([count, frames, latent_size])
    frequencies = np.fft.fftfreq(frames)  # cycles per frame
    # The Fourier transform of a Gaussian is a Gaussian.
    response = np.exp(-2.0 * (np.pi * smoothing * frequencies) ** 2)
    filtered = np.fft.ifft(np.fft.fft(noise, axis=1) * response[:, np.newaxis], axis=1).real
    # By Parseval's theorem the variance of filtered white noise is the mean of response^2.
    return (filtered / np.sqrt(np.mean(response**2))).astype(np.float32)


def parse_arithmetic(expression: str) -> list[tuple[int, int]]:
    """Parse a sum of seeds: `1-2+3` is [(1, 1), (-1, 2), (1, 3)], each a sign and a seed.

    Raises:
      UserError: it is not a sum of seeds.
    """
    compact = expression.replace(" ", "")
    terms = _TERM.findall(compact)
    if not terms or not re.fullmatch(r"[+-]?\d{1,18}([+-]\d{1,18})*", compact):
        raise UserError(
            "--arithmetic must be seeds with + and - between, such as 1-2+3. "
            f"Received: {expression}"
        )
    return [(-1 if sign == "-" else 1, int(seed)) for sign, seed in terms]


def evaluate_arithmetic(terms: list[tuple[int, int]], latent_size: int) -> np.ndarray:
    """Return the latents of each seed and, last, of their sum.

    The latents of a seed are those of the first image of `--seed`. The sum is scaled to
    sqrt(latent_size), the usual length of latents, because the network normalizes it together with
    the labels.

    Args:
      terms: from `parse_arithmetic`.
      latent_size: components of a latent vector.

    Returns:
      `[terms + 1, latent_size]` float32.
    """
    rows = [draw_latents(1, latent_size, seed=seed)[0] for _, seed in terms]
    total = sum(sign * row for (sign, _), row in zip(terms, rows, strict=True))
    root_mean_square = np.sqrt(np.mean(np.square(total)))
    # The sum 1-1 is zero, which can't be scaled.
    return np.stack([*rows, total / root_mean_square if root_mean_square > 0 else total])
