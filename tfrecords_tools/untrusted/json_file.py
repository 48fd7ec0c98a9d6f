"""JSON that others have written: parsed within bounds, so that any damage is one kind of error."""

import json
import os
from collections.abc import Iterator
from typing import Any

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.regular_file import (
    MAX_TEXT_BYTES,
    open_regular,
    read_bytes,
    require_size,
)

# As many digits as 64 bits hold: longer numbers do not fit into the types they are for.
_MAX_DIGITS = 18


def parse_json(text: str | bytes, name: str) -> Any:
    """Parse JSON in UTF-8.

    Args:
      text: the JSON.
      name: of the file that it is from, for errors.

    Raises:
      UserError: it is damaged, too large, too deep, or has a whole number of more than 18 digits.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise UserError(f"{name}: must hold at most {MAX_TEXT_BYTES} bytes. Received: {len(text)}")
    try:
        decoded = text if isinstance(text, str) else str(text, "utf-8")
        return json.loads(decoded, parse_int=_whole_number)
    except (ValueError, RecursionError, MemoryError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{name}: not valid JSON: {reason or type(error).__name__}") from error


def parse_object(text: str | bytes, name: str) -> dict[str, Any]:
    """Parse JSON that must be an object; see `parse_json`.

    Raises:
      UserError: as `parse_json`, and if it is no object.
    """
    value = parse_json(text, name)
    if not isinstance(value, dict):
        raise UserError(f"{name}: must be a JSON object. Received: {type(value).__name__}")
    return value


def read_object(path: str | os.PathLike) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a file, or as `parse_object`.
    """
    return parse_object(read_bytes(path, MAX_TEXT_BYTES), str(path))


def read_lines(path: str | os.PathLike) -> Iterator[str]:
    """Yield the lines of a file with a JSON value on each, without their ends.

    A line of more than 1 MiB comes in pieces, which are then no JSON.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a file, or larger than any text file of the project.
    """
    with open_regular(path) as file:
        require_size(path, file, MAX_TEXT_BYTES)
        while line := file.readline(1 << 20):
            yield line.decode("utf-8", "replace").rstrip("\r\n")


def _whole_number(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)
