"""Arrays that others have saved by `numpy.save`: the header is checked before any memory is taken.

NumPy evaluates a header as an expression of Python, which fails in many ways on a damaged one, and
believes the sizes in it.
"""

import contextlib
import io
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.regular_file import open_regular
from tfrecords_tools.untrusted.zip_archive import open_archive

# Enough for the header of any array of plain numbers.
HEADER_BYTES = 1 << 16
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class ArrayHeader(NamedTuple):
    """The beginning of a file.

    Attributes:
      shape: the array's.
      fortran_order: whether the first index changes fastest.
      dtype: of its values, which are no objects.
      offset: of the values in the file, in bytes.
    """

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    offset: int

    @property
    def order(self) -> Literal["C", "F"]:
        """The order of the values, as NumPy names it."""
        return "F" if self.fortran_order else "C"

    @property
    def num_bytes(self) -> int:
        """Size of a file with this header."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def parse_header(beginning: bytes) -> ArrayHeader:
    """Parse the header in a file's first `HEADER_BYTES`.

    Raises:
      ValueError: it is damaged, or announces anything other than an array of plain values.
    """
    if beginning.startswith(b"PK"):
        raise ValueError("one array expected. Received: an archive, as numpy.savez writes it")
    file = io.BytesIO(beginning)
    try:
        version = np.lib.format.read_magic(file)
        if version not in _HEADER_READERS:
            raise ValueError(f"its format is of version {version}")
        shape, fortran_order, dtype = _HEADER_READERS[version](file)
    except Exception as error:  # NumPy raises many kinds of errors on a damaged header
        raise ValueError(str(error) or type(error).__name__) from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {list(shape)}")
    return ArrayHeader(tuple(map(int, shape)), bool(fortran_order), dtype, file.tell())


def view_array(data: np.ndarray) -> np.ndarray:
    """Return the array in a file's bytes.

    Args:
      data: [n] uint8, the file's contents.

    Returns:
      A view of `data`.

    Raises:
      ValueError: they are not such a file, or cut short.
    """
    header = parse_header(data[:HEADER_BYTES].tobytes())
    if header.num_bytes > len(data):
        raise ValueError(f"{header.num_bytes} bytes expected. Received: {len(data)} bytes")
    return np.ndarray(header.shape, header.dtype, data, header.offset, order=header.order)


def load_array(path: str | os.PathLike, name: str | None = None) -> np.ndarray:
    """Read an array into memory.

    Args:
      path: the file's.
      name: for errors; by default the path.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a file, damaged, or holds anything other than an array of plain values.
    """
    with open_regular(path) as file:
        header = _checked_header(file, name or str(path))
        file.seek(header.offset)
        values = np.fromfile(file, header.dtype, math.prod(header.shape))
    return values.reshape(header.shape, order=header.order)


def map_array(path: str | os.PathLike) -> np.ndarray:
    """Map an array from its file, read-only; see `load_array`."""
    with open_regular(path) as file:
        header = _checked_header(file, str(path))
        if not math.prod(header.shape):  # nothing to map
            return np.empty(header.shape, header.dtype)
        opened: Any = file
        return np.memmap(opened, header.dtype, "r", header.offset, header.shape, header.order)


@contextlib.contextmanager
def open_arrays(path: str | os.PathLike) -> Iterator[Callable[[str], np.ndarray]]:
    """Yield a function that reads an array of an `.npz` file by its name.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a file or no archive; or, in the block as well, it is damaged, or an
        array is missing, or holds anything other than plain values.
    """
    with open_archive(path, ".npz") as archive:

        def read(name: str) -> np.ndarray:
            try:
                data = archive.read(f"{name}.npy")
                return view_array(np.frombuffer(data, np.uint8))
            except KeyError as error:
                raise UserError(f"{path}: there is no {name} in it") from error
            except ValueError as error:
                raise UserError(f"{path}: {name} in it: damaged: {error}") from error

        yield read


def _checked_header(file: BinaryIO, name: str) -> ArrayHeader:
    size = os.fstat(file.fileno()).st_size
    try:
        header = parse_header(file.read(HEADER_BYTES))
        if header.num_bytes > size:
            raise ValueError(f"{header.num_bytes} bytes expected. Received: {size} bytes")
    except ValueError as error:
        raise UserError(f"{name}: not an .npy file of numbers, or damaged: {error}") from error
    return header
