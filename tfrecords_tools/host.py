"""Memory and cores of the host, within the limits of a container. Standard library only."""

import contextlib
import math
import os
import resource
from collections.abc import Iterator
from pathlib import Path

# In `/proc/self/statm`: pages of data and stacks.
_DATA_FIELD = 5


def core_count(root: Path = Path("/")) -> int:
    """Return the number of CPU cores that this process may use, at least 1.

    That is the cores of its affinity mask (all of the machine's where the operating system has no
    such masks), or the CPU quota of its control group, rounded up, if that is less.

    Args:
      root: the directory that holds `sys`.
    """
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    return min([usable, *(math.ceil(quota) for quota in _cpu_quotas(root))])


def _cpu_quotas(root: Path) -> list[float]:
    """Return the CPU quotas of control groups, in cores; empty without a quota.

    A container sees its own group at the top of the hierarchy, of version 2 or 1.
    """
    base = root / "sys/fs/cgroup"
    settings = [
        _read(base / "cpu.max").split(),  # `quota period`, in microseconds
        [_read(base / f"cpu/cpu.cfs_{name}_us").strip() for name in ("quota", "period")],
    ]
    quotas = []
    for texts in settings:
        # No quota: no such file, or `max` (version 2), or -1 (version 1).
        if len(texts) == 2 and all(text.isdigit() and int(text) for text in texts):
            quota, period = map(int, texts)
            quotas.append(quota / period)
    return quotas


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that processes may still allocate; None if unknown.

    That is the machine's available memory, or what the limit of the control group leaves, if that
    is less.

    Args:
      root: the directory that holds `proc` and `sys`.
    """
    found = [_free_on_machine(root), *_free_in_cgroups(root)]
    return min((count for count in found if count is not None), default=None)


def limit_memory(allowed: int, root: Path = Path("/")) -> None:
    """Let this process take no more than `allowed` bytes of memory beyond what it has.

    More is a `MemoryError`, rather than the end of whatever the operating system chooses to end.
    Mapped files don't count. Does nothing where the system does not tell how much a process has.

    Args:
      allowed: in bytes.
      root: the directory that holds `proc`.
    """
    fields = _read(root / "proc/self/statm").split()
    if len(fields) > _DATA_FIELD:
        limit = int(fields[_DATA_FIELD]) * os.sysconf("SC_PAGE_SIZE") + allowed
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        lowest = min(bound for bound in (limit, soft, hard) if bound != resource.RLIM_INFINITY)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (lowest, hard))


@contextlib.contextmanager
def limited_memory(allowed: int) -> Iterator[None]:
    """Limit the memory of this process in the block; see `limit_memory`."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit_memory(allowed)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _free_on_machine(root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _free_in_cgroups(root: Path) -> list[int | None]:
    """Return what the limits of control groups leave, in bytes: of version 2, then of version 1.

    A container sees its own group at the top of the hierarchy.
    """
    base = root / "sys/fs/cgroup"
    return [
        _below(base / "memory.max", base / "memory.current", base / "memory.stat"),
        _below(
            base / "memory/memory.limit_in_bytes",
            base / "memory/memory.usage_in_bytes",
            base / "memory/memory.stat",
        ),
    ]


def _below(limit: Path, usage: Path, statistics: Path) -> int | None:
    texts = _read(limit).strip(), _read(usage).strip()
    if not all(text.isdigit() for text in texts):
        return None  # no such file, or `max`
    most, used = map(int, texts)
    # Cached files count as used, although the kernel drops them when memory is needed.
    for line in _read(statistics).splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            used -= int(value)
            break
    return max(0, most - used)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
