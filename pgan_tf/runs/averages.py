"""Power-function averages that a run saves beside its generators, and other averages from them.

They are in files `networks/averages-000123.npz`: arrays in float32 by name.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from pgan_tf.config.optimizer import MAX_EMA_LENGTH
from pgan_tf.runs.power_profiles import Profiles, combine
from pgan_tf.step.power_average import PowerAverage, exponent_of
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file
from tfrecords_tools.untrusted.array_file import open_arrays

_PATTERN = re.compile(r"averages-\d+(\.\d+)?\.npz")
# Names of a file's arrays that are no weights.
_IMAGES_SEEN, _LENGTHS = "images_seen", "lengths"

# Of a sum, where smaller ones are lost in the rounding of float32; a stored average is one alone.
_MIN_COEFFICIENT = 1e-7
# Of the profile of an average, relative to the norm of the profile. From a single file it is 0.05
# between the lengths 0.05 and 0.1, and 0.6 for the length 0.2.
_MAX_ERROR = 0.1


def averages_path(generator: Path) -> Path:
    """Return the path of the averages beside a saved generator."""
    return generator.with_name(f"{generator.stem.replace('generator', 'averages')}.npz")


def save_averages(path: Path, averages: Sequence[PowerAverage], *, images_seen: int) -> None:
    """Write averages, whole or not at all.

    Args:
      path: from `averages_path`.
      averages: of the generator, with the layers of all resolutions.
      images_seen: real images shown so far.
    """
    arrays = {
        _IMAGES_SEEN: np.array(images_seen),
        _LENGTHS: np.array([average.length for average in averages]),
        **{
            f"{number}/{name}": variable.numpy()
            for number, average in enumerate(averages)
            for name, variable in average.variables.items()
        },
    }
    with whole_file(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


class _File(NamedTuple):
    """A file of averages.

    Attributes:
      path: the file's.
      images_seen: real images shown until then.
      lengths: of the averages in it.
    """

    path: Path
    images_seen: int
    lengths: tuple[float, ...]


class PostHocAverage:
    """An average of a run's generator of any length, from the averages in its files."""

    def __init__(self, directory: Path, *, images_seen: int | None, length: float):
        """Choose the files and how they are combined; weights are read later.

        Args:
          directory: of the files.
          images_seen: real images shown until the end of the average; None if unknown.
          length: of the average: its relative standard deviation.

        Raises:
          UserError: there are no averages at that end, too few before it for this length, or a
            damaged file.
        """
        if not 0 < length <= MAX_EMA_LENGTH:
            raise UserError(
                f"--ema_length must be above 0, up to {MAX_EMA_LENGTH}. Received: {length}"
            )
        files = [file for file in _read_files(directory) if file.images_seen <= (images_seen or 0)]
        if not files or files[-1].images_seen != images_seen:
            raise UserError(
                f"{directory}: --ema_length needs the averages that pgan-train "
                "--ema_lengths=0.05,0.1 saves beside each generator; there are none at "
                f"{'unknown' if images_seen is None else images_seen} images"
            )
        self._files = files
        stored = [
            (exponent_of(known), file.images_seen) for file in files for known in file.lengths
        ]
        exponents, ends = np.array(stored, float).T
        wanted = Profiles(np.array([exponent_of(length)]), np.array([float(ends[-1])]))
        self._coefficients, error = combine(Profiles(exponents, ends), wanted)
        if error > _MAX_ERROR:
            lengths = sorted({known for file in files for known in file.lengths})
            raise UserError(
                f"--ema_length={length:g} can't be made of the averages of the lengths "
                f"{', '.join(f'{known:g}' for known in lengths)} in {len(files)} file(s) of "
                f"{directory}: its profile would be {error:.0%} off; choose a length nearer to "
                "those, or train with a smaller --network_kimg"
            )

    def assign_to(self, model: keras.Model) -> None:
        """Give a saved generator the average's weights.

        Raises:
          UserError: a file is damaged, or is of another generator.
        """
        sums = {weight.path: np.zeros(weight.shape, np.float64) for weight in model.weights}
        coefficients = iter(self._coefficients)
        for file in self._files:
            with open_arrays(file.path) as read:
                for number in range(len(file.lengths)):
                    coefficient = next(coefficients)
                    if abs(coefficient) < _MIN_COEFFICIENT:
                        continue
                    for name, total in sums.items():
                        array = read(f"{number}/{name}")
                        if array.dtype != np.float32 or array.shape != total.shape:
                            raise UserError(
                                f"{file.path}: {number}/{name} in it must be float32 "
                                f"{list(total.shape)}. Received: {array.dtype} {list(array.shape)}"
                            )
                        total += coefficient * array
        for name, total in sums.items():
            if not np.isfinite(total).all():
                raise UserError(
                    f"{self._files[-1].path}: the averages up to it must be finite. Received: NaN "
                    f"or infinity in {name}"
                )
        for weight in model.weights:
            weight.assign(sums[weight.path].astype(np.float32))


def _read_files(directory: Path) -> list[_File]:
    """Return the files of averages in a directory, oldest first."""
    paths = (path for path in directory.glob("averages-*.npz") if _PATTERN.fullmatch(path.name))
    return sorted((_read_file(path) for path in paths), key=lambda file: file.images_seen)


def _read_file(path: Path) -> _File:
    with open_arrays(path) as read:
        images_seen, lengths = read(_IMAGES_SEEN), read(_LENGTHS)
    numbers = lengths.dtype == np.float64 and lengths.ndim == 1 and len(lengths) > 0
    if images_seen.dtype != np.int64 or images_seen.ndim or images_seen < 1 or not numbers:
        raise UserError(f"{path}: damaged: not the averages of a run")
    if not ((lengths > 0) & (lengths <= MAX_EMA_LENGTH)).all():
        raise UserError(f"{path}: damaged: lengths {lengths.tolist()}")
    return _File(path, int(images_seen), tuple(lengths.tolist()))
