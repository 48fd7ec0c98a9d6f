"""What this machine has left. Plain Python."""

from pathlib import Path


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that processes may still take, within a container's limit too; None if unknown.

    Args:
      root: where `proc` and `sys` are.
    """
    found = [_free_on_machine(root), *_free_in_cgroups(root)]
    return min((count for count in found if count is not None), default=None)


def _free_on_machine(root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _free_in_cgroups(root: Path) -> list[int | None]:
    """Of version 2, then of version 1; a container sees its own at the top."""
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
    # Files that are cached count as used, but make room.
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
