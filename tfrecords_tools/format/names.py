"""What the files of a pyramid are called, and which of them a directory holds."""

import re
from collections.abc import Iterable
from pathlib import Path

from tfrecords_tools.errors import UserError

SMALLEST_LOG2 = 2
MAX_SHARDS = 1000
INDEX_SUFFIX = ".index"
_LEVEL_PATTERN = re.compile(
    r"(?P<name>.+)-r(?P<log2>\d\d)\.tfrecords(-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?"
)


def level_name(name: str, resolution: int) -> str:
    """File name of a level in one file: `NAME-r05.tfrecords` at 32x32."""
    return f"{name}-r{resolution.bit_length() - 1:02d}.tfrecords"


def shard_name(name: str, resolution: int, shard: int, shards: int) -> str:
    """File name of a part of a level: `NAME-r05.tfrecords-00000-of-00008`.

    The original's reader looks for `*.tfrecords`: it finds nothing rather than something wrong.
    """
    return f"{level_name(name, resolution)}-{shard:05d}-of-{shards:05d}"


def level_file_names(name: str, resolution: int, encoding: str, shards: int) -> list[str]:
    """File names of a level, in order. Only raw levels in one file are named as the original's."""
    if encoding == "raw" and shards == 1:
        return [level_name(name, resolution)]
    return [shard_name(name, resolution, shard, shards) for shard in range(shards)]


def index_path(path: Path) -> Path:
    """The index of a file of encoded images."""
    return path.with_name(path.name + INDEX_SUFFIX)


def labels_name(name: str) -> str:
    """File name of a pyramid's labels, which all its levels share."""
    return f"{name}-rxx.labels"


def find_levels(directory: Path) -> tuple[str, dict[int, list[Path]]]:
    """The pyramid in a directory.

    Returns:
      Its name, and by resolution_log2, without a gap from 2, each level's files in order.

    Raises:
      UserError: there is none, or more than one, or files are missing or too many.
    """
    if not directory.is_dir():
        problem = "not a directory" if directory.exists() else "no such directory"
        raise UserError(f"{directory}: {problem}; expected a pyramid of pgan-prepare-tfrecords")
    name, levels = arrange_levels(str(directory), [path.name for path in directory.iterdir()])
    return name, {log2: [directory / file for file in files] for log2, files in levels.items()}


def arrange_levels(directory: str, files: Iterable[str]) -> tuple[str, dict[int, list[str]]]:
    """The pyramid among the files of a directory, wherever that is.

    Args:
      directory: for messages.
      files: names of all files in it.

    Returns:
      As `find_levels`, with names in place of paths.

    Raises:
      UserError: there is none, or more than one, or files are missing or too many.
    """
    found: dict[str, dict[int, list[str]]] = {}
    for file in sorted(files):
        match = _LEVEL_PATTERN.fullmatch(file)
        if match:
            found.setdefault(match["name"], {}).setdefault(int(match["log2"]), []).append(file)
    if not found:
        raise UserError(
            f"{directory}: no pyramid in it; expected files like {level_name('NAME', 4)}, as"
            " written by pgan-prepare-tfrecords"
        )
    if len(found) > 1:
        raise UserError(f"{directory}: must hold one pyramid. Received: {', '.join(sorted(found))}")
    name, levels = found.popitem()
    _check_levels(directory, name, levels)
    for log2, names in levels.items():
        _check_shards(directory, name, 1 << log2, names)
    shards = len(levels[max(levels)])
    for names in levels.values():
        if len(names) != shards:
            raise UserError(
                f"{directory}/{names[0]}: every level must be cut into as many files, {shards}."
                f" Received: {len(names)}"
            )
    return name, levels


def _check_levels(directory: str, name: str, levels: dict[int, list[str]]) -> None:
    full = 1 << max(levels)
    for log2 in range(SMALLEST_LOG2, max(*levels, SMALLEST_LOG2) + 1):
        if log2 not in levels:
            raise UserError(
                f"{directory}/{level_name(name, 1 << log2)}: missing; a pyramid has every level"
                f" from 4x4 to its full resolution, {full}x{full}"
            )
    if min(levels) < SMALLEST_LOG2:
        file = levels[min(levels)][0]
        raise UserError(f"{directory}/{file}: unexpected; the smallest level of a pyramid is 4x4")


def _check_shards(directory: str, name: str, resolution: int, names: list[str]) -> None:
    """Refuses a level that is not whole. Names sort so that the last one is of the most shards."""
    match = _LEVEL_PATTERN.fullmatch(names[-1])
    stated = int(match["shards"] or 0) if match else 0
    wanted = level_file_names(name, resolution, "raw" if not stated else "", stated or 1)
    for extra in sorted(set(names) - set(wanted)):
        raise UserError(f"{directory}/{extra}: unexpected beside {names[-1]}")
    for missing in sorted(set(wanted) - set(names)):
        raise UserError(f"{directory}/{missing}: missing; the level is cut into {stated} shards")
