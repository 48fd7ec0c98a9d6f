"""Working ahead of demand in the background, within bounded memory."""

import collections
import concurrent.futures
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# The number of results that are read ahead, unless they take more than the number of bytes. Small
# images have short steps, and the first reads of the next level may find a slow disk.
READ_AHEAD_STEPS = 64
READ_AHEAD_BYTES = 256 << 20
_LEAST_STEPS_AHEAD = 2


def read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], Result],
    *,
    size: Callable[[Item], int],
    threads: int = 1,
) -> Generator[tuple[Item, Result], None, None]:
    """Call `read` for one item after the other, in other threads, ahead of demand.

    Args:
      items: in the order in which they are wanted.
      read: returns an item's result. What it raises is raised at that item.
      size: returns the size in bytes of an item's result, before it is read.
      threads: number of items that are read at once; with 1, each after the one before it.

    Yields:
      Each item with its result, in order.
    """
    remaining = iter(items)
    upcoming = next(remaining, None)
    pending: collections.deque[tuple[Item, concurrent.futures.Future[Result]]] = collections.deque()
    pending_bytes = 0

    def has_room(item: Item) -> bool:
        if len(pending) < _LEAST_STEPS_AHEAD:
            return True
        return len(pending) < READ_AHEAD_STEPS and pending_bytes + size(item) <= READ_AHEAD_BYTES

    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="reader")
    try:
        while upcoming is not None or pending:
            while upcoming is not None and has_room(upcoming):
                pending.append((upcoming, pool.submit(read, upcoming)))
                pending_bytes += size(upcoming)
                upcoming = next(remaining, None)
            item, future = pending.popleft()
            pending_bytes -= size(item)
            yield item, future.result()
    finally:
        # A caller that stops early waits only for results that are being read.
        pool.shutdown(cancel_futures=True)


def take_ahead(items: Iterator[Item], *, count: int) -> Generator[Item, None, None]:
    """Take items from an iterator in another thread, ahead of demand.

    Args:
      items: used by that thread alone. What it raises is raised where its next item is wanted.
      count: number of items that are taken ahead.

    Yields:
      The items, in order.
    """
    end = object()
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="feeder")
    pending = collections.deque(pool.submit(next, items, end) for _ in range(count))
    try:
        while (item := pending.popleft().result()) is not end:
            pending.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]
    finally:
        # A caller that stops early waits only for the item that is being taken.
        pool.shutdown(cancel_futures=True)
