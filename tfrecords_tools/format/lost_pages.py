"""Mapped files that are cut short while they are read: what is lost reads as zeros.

To look at a page of a mapped file that is no longer there is a fault (SIGBUS), which ends the
process, and checking the file's size just before leaves a moment for it. So a handler of that
signal puts pages of zeros in the place of lost ones, and the reader compares the size again once it
has read. A fault of any other origin is left to whatever handled it before.
"""

import ctypes
import itertools
import mmap
import signal
import threading
import weakref

_MAP_FIXED = 0x10  # on Linux and macOS
_FAILED = ctypes.c_void_p(-1).value

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)
# The interpreter's lock is kept: the handler runs in the middle of other Python code.
_libc = ctypes.PyDLL(None)
_libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
_libc.signal.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mmap.restype = ctypes.c_void_p


class _Region:
    """The memory of a mapped file.

    Attributes:
      mapping: the file's.
      address: of its first byte.
      size: in bytes, whole pages.
      kept: bytes that are still mapped from the file, whole pages.
    """

    def __init__(self, mapping: mmap.mmap, address: int):
        self.mapping = weakref.ref(mapping)
        self.address = address
        self.size = self.kept = _whole_pages(len(mapping))

    def replace_lost_pages(self) -> bool:
        """Put zeros in the place of pages that are lost by now; return whether there are more."""
        mapping = self.mapping()
        try:
            left = self.kept if mapping is None else _whole_pages(mapping.size())
        except OSError:  # of a file system in a network
            left = 0
        if left >= self.kept:
            return False
        start, size = self.address + left, self.kept - left
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
        self.kept = left
        return _libc.mmap(start, size, mmap.PROT_READ, flags, -1, 0) != _FAILED


# By a number of its own, for a later mapping may have the same address.
_regions: dict[int, _Region] = {}
_numbers = itertools.count()
_lock = threading.Lock()
# Another thread may have replaced the page already. But not so many times in a row.
_MOST_IN_VAIN = 100


def survive_lost_pages(mapping: mmap.mmap, address: int) -> None:
    """Let pages of a mapped file read as zeros once they are lost, as long as it is mapped.

    Args:
      mapping: of a file, whole and read-only.
      address: of its first byte.
    """
    number = next(_numbers)
    _regions[number] = _Region(mapping, address)
    weakref.finalize(mapping, _regions.pop, number, None).atexit = False
    with _lock:
        if not _State.installed:
            _State.previous = _libc.signal(signal.SIGBUS, ctypes.cast(_handler, ctypes.c_void_p))
            _State.installed = True


class _State:
    """The state of the handler: whether it is there, what it replaced, and its fruitless calls."""

    installed = False
    previous: int | None = None
    in_vain = 0


@_Handler
def _handler(number: int) -> None:
    replaced = [region.replace_lost_pages() for region in list(_regions.values())]
    any_lost = any(region.kept < region.size for region in list(_regions.values()))
    _State.in_vain = 0 if any(replaced) else _State.in_vain + 1
    if not any_lost or _State.in_vain > _MOST_IN_VAIN:
        _libc.signal(number, _State.previous)
        signal.raise_signal(number)  # arrives when this function returns


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
