"""A reader of pickles of plain data that runs nothing in them.

A pickle is a program for a small machine. It is dangerous because it may name any function of any
module and call it. Here it can name the entries of two tables, and nothing else. Even these names
don't stand for NumPy's or Python's own functions but for the ones below, which take plain arguments
and refuse all others: arrays of plain numbers, their types, bytes, ordered dictionaries. An object
of a class that the caller allows is loaded as its state alone.

A small pickle may also take much memory or time: it can pass the same text to a function again and
again, and nest tuples so that hashing them overflows the stack or never ends. So the bytes that
functions copy are counted, and keys of dictionaries are numbers or text.
"""

import functools
import io
import math
import pickle
import pickletools
import re
import reprlib
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar

import numpy as np

from tfrecords_tools.errors import UserError

# Booleans, integers, floats and complex numbers; no text, no objects, no records.
_PLAIN_TYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16")
_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})
_MEMO_WRITES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_SETS = frozenset({"EMPTY_SET", "FROZENSET", "ADDITEMS"})
# Python itself refuses to print much longer ones.
_MAX_INTEGER_BITS = 1024
# Bytes that functions may copy for each byte of a pickle. In a well-formed one the content of an
# array is copied twice: from text to bytes, and into the array.
_MAX_COPIES = 4
# The bytes that an entry of a dictionary counts as: no more than it has in a well-formed pickle.
_ENTRY_BYTES = 4
# Above it, hashes of integers repeat.
_MAX_KEY = sys.hash_info.modulus
# Parts of the data for each byte of a pickle, which takes at least one byte for each.
_MAX_PARTS = 4
_KEYS = (str, bytes, int, float, np.generic, type(None))


class ForbiddenPickleError(UserError):
    """A pickle asks for something that is not plain data.

    Attributes:
      asked: the name or operation that was refused, such as `posix.system`.
    """

    def __init__(self, name: str, asked: str):
        super().__init__(
            f"{name}: not loaded: it asks for more than plain data, and nothing in it was run. "
            f"Received: {asked}"
        )
        self.asked = asked


class Instance:
    """An object of a class that was not loaded.

    Attributes:
      class_name: `module.Class`, as the pickle has it.
      state: the state from which the class would have restored the object; None without one.
    """

    __slots__ = ("state",)
    class_name = ""

    def __new__(cls) -> "Instance":
        """Make an object without state: a pickle may leave it so."""
        instance = super().__new__(cls)
        instance.state = None
        return instance

    def __setstate__(self, state: Any) -> None:
        self.state: Any = state


def load_plain(data: bytes, name: str, classes: Collection[str] = ()) -> Any:
    """Unpickle dictionaries, lists, numbers, text and arrays; Python 2's strings become text.

    Reads every protocol of Python 2 and 3, and arrays of every NumPy. All arrays and texts together
    take no more than a few times the memory of `data`. Keys of dictionaries are text, bytes,
    numbers or None.

    Args:
      data: the pickle.
      name: of the pickle, for errors.
      classes: names `module.Class` of classes whose objects may occur. Each object becomes an
        `Instance`.

    Raises:
      ForbiddenPickleError: the pickle asks for anything else.
      UserError: the pickle is damaged, or the data are no pickle.
    """
    try:
        _check_operations(data)
        loaded = _PlainUnpickler(data, classes).load()
        _check_extent(loaded, _MAX_PARTS * len(data))
        return loaded
    except _Forbidden as error:
        raise ForbiddenPickleError(name, str(error)) from error
    except Exception as error:  # a damaged pickle can fail in any way, want of memory included
        raise UserError(f"{name}: damaged or no pickle: {error or type(error).__name__}") from error


class _Forbidden(pickle.UnpicklingError):
    pass


def _check_operations(data: bytes) -> None:
    """Check all operations once, without performing any of them."""
    memo_size = 0
    for number, (operation, argument, _) in enumerate(pickletools.genops(data)):
        if operation.name in _EXTENSIONS:
            raise _Forbidden(f"the extension registry ({operation.name} {argument})")
        if operation.name in _SETS:
            raise _Forbidden("a set")
        if operation.name == "FRAME" and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"a frame of {argument} bytes")
        if isinstance(argument, int) and argument.bit_length() > _MAX_INTEGER_BITS:
            raise pickle.UnpicklingError(f"an integer of {argument.bit_length()} bits")
        if operation.name in _MEMO_WRITES:
            # The unpickler makes a table as long as the highest number in it.
            if argument is None or int(argument) > number:
                raise pickle.UnpicklingError(f"entry {argument} of a memo of {memo_size}")
            memo_size += 1


def _check_extent(loaded: Any, most: int) -> None:
    """Refuse data that have more parts than the pickle can hold, counted wherever they occur.

    A tuple of the same two tuples, and so on, or a list within itself, has parts without end for
    whoever prints or converts it.
    """
    waiting, count = [loaded], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            parts: Iterable[Any] = value.values()
        elif isinstance(value, (list, tuple)):
            parts = value
        elif isinstance(value, Instance):
            parts = (value.state,)
        else:
            continue
        found = [part for part in parts if isinstance(part, (dict, list, tuple, Instance))]
        count += 1 + (len(value) if not isinstance(value, Instance) else 1)
        if count > most:
            raise pickle.UnpicklingError(f"it has more than {most} parts")
        waiting += found


class _Allowance:
    """The bytes that functions may still copy while one pickle is read."""

    def __init__(self, total: int):
        self._total = total
        self._left = total

    def spend(self, count: int) -> None:
        """Take bytes off the allowance, or fail if there are not enough."""
        self._left -= count
        if self._left < 0:
            raise pickle.UnpicklingError(f"its functions make more than {self._total} bytes")


def _with_checked_keys(operation: bytes, keys: slice) -> tuple[int, Callable[[Any], None]]:
    """Return an operation that adds entries to a dictionary after checking their keys.

    Args:
      operation: the operation's code.
      keys: position of the keys on the unpickler's stack.
    """
    code = operation[0]
    original: Callable[[Any], None] = pickle._Unpickler.dispatch[code]

    def perform(unpickler: Any) -> None:
        _check_keys(unpickler.stack[keys])
        original(unpickler)

    return code, perform


# Python's own unpickler in place of the one in C, because its operations can be replaced.
class _PlainUnpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        **dict(
            [
                _with_checked_keys(pickle.SETITEM, slice(-2, -1)),
                # Keys and values in turn, all since the last mark.
                _with_checked_keys(pickle.SETITEMS, slice(0, None, 2)),
                _with_checked_keys(pickle.DICT, slice(0, None, 2)),
            ]
        ),
    }

    def __init__(self, data: bytes, classes: Collection[str]):
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._allowance = _Allowance(_MAX_COPIES * len(data))
        # New classes for each pickle, so that no pickle can change them for another.
        self._classes = {
            name: type("Instance", (Instance,), {"__slots__": (), "class_name": name})
            for name in classes
        }

    def find_class(self, module: str, name: str) -> Any:
        """Return our own function or class of that name."""
        if f"{module}.{name}" in self._classes:
            return self._classes[f"{module}.{name}"]
        if (module, name) in _COPYING:
            label, body = _COPYING[module, name]
            return _Function(label, functools.partial(body, self._allowance))
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Forbidden(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        """Refuse."""
        raise _Forbidden(f"a persistent object ({reprlib.repr(pid)})")


def _check_keys(keys: Iterable[Any]) -> None:
    for key in keys:
        if not isinstance(key, _KEYS) or isinstance(key, np.complexfloating):
            raise _Forbidden(f"a key that is a {type(key).__name__}")
        # Any number of larger integers can have the same hash, so that a dictionary of them takes
        # a time that grows with the square of their number.
        if isinstance(key, int) and abs(key) >= _MAX_KEY:
            raise _Forbidden(f"a key that is an integer of {key.bit_length()} bits")


class _Function:
    """The object that a pickle gets for a function or class: it can be called, not changed."""

    __slots__ = ("_body", "_name")

    def __init__(self, name: str, body: Callable[..., Any]):
        self._name = name
        self._body = body

    def __call__(self, *args: Any) -> Any:
        return self._body(*args)

    def __setstate__(self, state: Any) -> None:
        raise _Forbidden(f"to change {self._name}")


class _Type:
    """A NumPy type that is being read: its code, and its order of bytes as soon as it is known."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or not _PLAIN_TYPE.fullmatch(code):
            raise _Forbidden(f"an array of type {reprlib.repr(code)}")
        self._code = code
        self._order = "="

    def __setstate__(self, state: Any) -> None:
        # (version, order of bytes, sub-array, names, fields, size, alignment, flags)
        _, self._order, *parts = state
        if self._order not in ("<", ">", "|", "=") or any(part is not None for part in parts[:3]):
            raise _Forbidden("an array of records")

    def resolved(self) -> np.dtype:
        """Return the type."""
        return np.dtype(self._code if self._order == "|" else self._order + self._code)


class _Array(np.ndarray):
    """An array that takes its content from plain state alone, and only once."""

    allowance: _Allowance | None = None

    def __setstate__(self, state: Any) -> None:
        allowance, self.allowance = self.allowance, None
        if allowance is None:
            raise pickle.UnpicklingError("an array that gets its content twice")
        # ([version,] shape, type, whether in Fortran's order, content)
        shape, kind, fortran, content = state[-4:]
        content, dtype = _checked_content(allowance, content, kind, shape)
        allowance.spend(len(content))
        plain: Any = (1, tuple(shape), dtype, bool(fortran), content)
        super().__setstate__(plain)


def _checked_content(
    allowance: _Allowance, content: Any, kind: Any, shape: Any
) -> tuple[bytes, np.dtype]:
    """Return the bytes of an array and their type, after comparing them with the shape."""
    if not isinstance(content, (str, bytes, bytearray)) or not isinstance(kind, _Type):
        raise _Forbidden("an array of objects")
    if not isinstance(content, bytes):
        allowance.spend(len(content))
    if isinstance(content, str):  # a string of Python 2
        content = content.encode("latin1")
    dtype = kind.resolved()
    if any(type(side) is not int or side < 0 for side in shape):
        raise pickle.UnpicklingError(f"an array of shape {reprlib.repr(shape)}")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise pickle.UnpicklingError(f"an array of {dtype} {list(shape)} in {len(content)} bytes")
    return bytes(content), dtype


def _empty_array(allowance: _Allowance, kind: Any, shape: Any, code: Any) -> np.ndarray:
    """Return an array before its state is read."""
    array = np.ndarray.__new__(_Array, (0,), np.uint8)
    array.allowance = allowance
    return array


def _array_from_buffer(
    allowance: _Allowance, content: Any, kind: Any, shape: Any, order: Any = "C"
) -> np.ndarray:
    """Return an array as protocol 5 stores it."""
    if order not in ("C", "F"):
        raise pickle.UnpicklingError(f"an array in the order {reprlib.repr(order)}")
    content, dtype = _checked_content(allowance, content, kind, shape)
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _scalar(allowance: _Allowance, kind: Any, content: Any) -> np.generic:
    content, dtype = _checked_content(allowance, content, kind, ())
    return np.frombuffer(content, dtype)[0]


def _encode(allowance: _Allowance, text: Any, encoding: Any = "utf-8") -> bytes:
    """Return bytes as protocol 2 of Python 3 stores them: as text, for codecs.encode.

    That function itself accepts more than text.
    """
    if not isinstance(text, str) or encoding != "latin1":
        raise _Forbidden(f"codecs.encode to {reprlib.repr(encoding)}")
    allowance.spend(len(text))
    return text.encode("latin1")


def _bytes(allowance: _Allowance, content: Any = b"") -> bytes:
    # bytes(number) would make as many zeros.
    if not isinstance(content, (bytes, bytearray)):
        raise _Forbidden(f"bytes of {type(content).__name__}")
    allowance.spend(len(content))
    return bytes(content)


def _bytearray(allowance: _Allowance, content: Any = b"") -> bytearray:
    return bytearray(_bytes(allowance, content))


def _ordered_dict(allowance: _Allowance, items: Any = ()) -> dict:
    if not isinstance(items, (list, tuple)):
        raise _Forbidden(f"an ordered dictionary of {type(items).__name__}")
    allowance.spend(_ENTRY_BYTES * len(items))
    _check_keys(key for key, _ in items)
    return dict(items)


def _reconstruct_instance(kind: Any, base: Any, state: Any) -> Instance:
    """Return an object before its state is read, as protocols 0 and 1 store it."""
    if not (isinstance(kind, type) and issubclass(kind, Instance)) or base is not _OBJECT:
        raise _Forbidden("copyreg._reconstructor of anything other than a network")
    return kind()


def _not_callable(*args: Any) -> Any:
    raise _Forbidden("to call a class that is only named")


_OBJECT = _Function("object", _not_callable)
_ALLOWED: dict[tuple[str, str], _Function] = {
    ("numpy", "ndarray"): _Function("numpy.ndarray", _not_callable),
    ("numpy", "dtype"): _Function("numpy.dtype", _Type),
}
# Functions that copy their arguments, and so take an allowance first.
_COPYING: dict[tuple[str, str], tuple[str, Callable[..., Any]]] = {
    ("_codecs", "encode"): ("codecs.encode", _encode),
    ("collections", "OrderedDict"): ("collections.OrderedDict", _ordered_dict),
}
for _numpy in ("numpy.core", "numpy._core"):
    for _module, _name, _body in (
        ("multiarray", "_reconstruct", _empty_array),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _array_from_buffer),
    ):
        _COPYING[f"{_numpy}.{_module}", _name] = (f"numpy {_name}", _body)
for _builtins in ("builtins", "__builtin__"):  # of Python 3 and 2
    _COPYING[_builtins, "bytes"] = ("bytes", _bytes)
    _COPYING[_builtins, "bytearray"] = ("bytearray", _bytearray)
    _ALLOWED[_builtins, "object"] = _OBJECT
for _copyreg in ("copyreg", "copy_reg"):
    _ALLOWED[_copyreg, "_reconstructor"] = _Function("_reconstructor", _reconstruct_instance)
