"""Reading pickles of plain data: no class or function but NumPy's arrays, so no arbitrary code."""

import io
import pickle
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError


def load_plain(data: bytes, name: str) -> Any:
    """Unpickles dictionaries, lists, numbers, text and arrays; Python 2's strings become text.

    Args:
      data: the pickle.
      name: how errors call it.

    Raises:
      UserError: the pickle is damaged, or asks for anything else.
    """
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding="latin1").load()
    except _ForbiddenError as error:
        raise UserError(
            f"{name}: not loaded: it is no plain data, it would run code. Received: {error}"
        ) from error
    except Exception as error:  # a damaged pickle can fail in any way, want of memory included
        raise UserError(f"{name}: damaged or no pickle: {error or type(error).__name__}") from error


class _ForbiddenError(pickle.UnpicklingError):
    pass


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 of Python 3 stores bytes; codecs.encode itself knows more than text."""
    if encoding != "latin1":
        raise _ForbiddenError(f"codecs.encode to {encoding}")
    return text.encode("latin1")


# NumPy's function that makes an empty array to be filled; its own place differs by version.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None
