"""The home directory in place of `~`, which shells leave in `--flag=~/path`."""

import os
from pathlib import Path

from tfrecords_tools.errors import UserError


def expand_home(value: str) -> str:
    """Return a path with the home directory in place of its `~`, or `~user/`; others as they are.

    Raises:
      UserError: there is no such user.
    """
    if value != "~" and not (value.startswith("~") and "/" in value):
        return value
    expanded = os.path.expanduser(value)
    if expanded == value:
        user = value.partition("/")[0]
        raise UserError(
            f"{value}: no home directory is known of {user}; write ./{value} for a name"
        )
    return expanded


def user_path(path: str | os.PathLike) -> Path:
    """Return a path that a user has given; see `expand_home`."""
    return Path(expand_home(os.fspath(path)))
