"""The ground of every command: flags and flagfiles, help, completion, one-line errors, exit codes.

Begin with `running.py`, which runs a command. Imports untrusted, for flagfiles, and the modules
beside the rooms.
"""

from tfrecords_tools.command.help import Help, Section
from tfrecords_tools.command.running import (
    EXIT_OK,
    EXIT_USER_ERROR,
    Command,
    CommandGroup,
    check_numbers,
    require_utf8,
    run,
    run_one_of,
)

__all__ = [
    "EXIT_OK",
    "EXIT_USER_ERROR",
    "Command",
    "CommandGroup",
    "Help",
    "Section",
    "check_numbers",
    "require_utf8",
    "run",
    "run_one_of",
]
