"""The names of a pyramid's files, and the pyramid among the files of a directory."""

import re
from collections.abc import Iterable
from pathlib import Path

from tfrecords_tools.errors import UserError

SMALLEST_LOG2, LARGEST_LOG2 = 2, 16
MAX_SHARDS = 1000
INDEX_SUFFIX = ".index"
_LEVEL_PATTERN = re.compile(
    r"(?P<name>.+)-r(?P<log2>\d\d)\.tfrecords(-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?"
)


def level_name(name: str, resolution: int) -> str:
    """Return the file name of a level in one file: `NAME-r05.tfrecords` at 32x32."""
    return f"{name}-r{resolution.bit_length() - 1:02d}.tfrecords"


def shard_name(name: str, resolution: int, shard: int, shards: int) -> str:
    """Return the file name of a shard of a level: `NAME-r05.tfrecords-00000-of-00008`.

    The original's reader, which looks for `*.tfrecords`, finds no file rather than a wrong one.
    """
    return f"{level_name(name, resolution)}-{shard:05d}-of-{shards:05d}"


def level_file_names(name: str, resolution: int, encoding: str, shards: int) -> list[str]:
    """Return the file names of a level, in order.

    Only raw levels in one file have the original's names.
    """
    if encoding == "raw" and shards == 1:
        return [level_name(name, resolution)]
    return [shard_name(name, resolution, shard, shards) for shard in range(shards)]


def index_path(path: Path) -> Path:
    """Return the path of the index of a file of encoded images."""
    return path.with_name(path.name + INDEX_SUFFIX)


def labels_name(name: str) -> str:
    """Return the file name of a pyramid's labels, which all its levels share."""
    return f"{name}-rxx.labels"


def find_levels(location: str, names: Iterable[str]) -> tuple[str, dict[int, list[str]]]:
    """Find the pyramid among the files of a directory.

    Args:
      location: the directory, for errors.
      names: of all files in it.

    Returns:
      The pyramid's name, and by resolution_log2, without a gap from 2, the names of each level's
      files in order.

    Raises:
      UserError: there is no pyramid, or more than one, or files are missing or unexpected.
    """
    found: dict[str, dict[int, list[str]]] = {}
    for file in sorted(names):
        match = _LEVEL_PATTERN.fullmatch(file)
        if match:
            found.setdefault(match["name"], {}).setdefault(int(match["log2"]), []).append(file)
    if not found:
        raise UserError(
            f"{location}: no pyramid in it; expected files like {level_name('NAME', 4)}, as"
            " written by pgan-prepare-tfrecords"
        )
    if len(found) > 1:
        raise UserError(f"{location}: must hold one pyramid. Received: {', '.join(sorted(found))}")
    name, levels = found.popitem()
    _check_levels(location, name, levels)
    for log2, files in levels.items():
        _check_shards(location, name, 1 << log2, files)
    shards = len(levels[max(levels)])
    for files in levels.values():
        if len(files) != shards:
            raise UserError(
                f"{location}/{files[0]}: every level must have the same number of files, {shards}."
                f" Received: {len(files)}"
            )
    return name, levels


def _check_levels(location: str, name: str, levels: dict[int, list[str]]) -> None:
    if max(levels) > LARGEST_LOG2:
        file = levels[max(levels)][0]
        raise UserError(
            f"{location}/{file}: unexpected; the largest level of a pyramid is {1 << LARGEST_LOG2}"
        )
    full = 1 << max(levels)
    for log2 in range(SMALLEST_LOG2, max(*levels, SMALLEST_LOG2) + 1):
        if log2 not in levels:
            raise UserError(
                f"{location}/{level_name(name, 1 << log2)}: missing; a pyramid has every level"
                f" from 4x4 to its full resolution, {full}x{full}"
            )
    if min(levels) < SMALLEST_LOG2:
        file = levels[min(levels)][0]
        raise UserError(f"{location}/{file}: unexpected; the smallest level of a pyramid is 4x4")


def _check_shards(location: str, name: str, resolution: int, files: list[str]) -> None:
    """Refuse a level of which shards are missing, or that has others.

    Args:
      location: the directory, for errors.
      name: of the pyramid.
      resolution: of the level.
      files: the level's, sorted: the last one states the largest number of shards.
    """
    match = _LEVEL_PATTERN.fullmatch(files[-1])
    stated = int(match["shards"] or 0) if match else 0
    wanted = level_file_names(name, resolution, "raw" if not stated else "", stated or 1)
    for extra in sorted(set(files) - set(wanted)):
        raise UserError(f"{location}/{extra}: unexpected beside {files[-1]}")
    for missing in sorted(set(wanted) - set(files)):
        raise UserError(f"{location}/{missing}: missing; the level is cut into {stated} shards")
