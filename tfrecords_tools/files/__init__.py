"""Files and directories that appear whole or not at all, and replace others without losing them.

Begin with `whole.py` for a file and `directories.py` for a directory. Imports no other room.
"""

from tfrecords_tools.files.directories import (
    check_output,
    filled_directory,
    partial_directory,
    replace_directory,
    settle_output,
    staged_directory,
)
from tfrecords_tools.files.home import expand_home, user_path
from tfrecords_tools.files.leftovers import JOURNAL_NAME, remove_leftovers
from tfrecords_tools.files.whole import (
    is_system_file,
    sync,
    whole_file,
    whole_output_file,
)

__all__ = [
    "JOURNAL_NAME",
    "check_output",
    "expand_home",
    "filled_directory",
    "is_system_file",
    "partial_directory",
    "remove_leftovers",
    "replace_directory",
    "settle_output",
    "staged_directory",
    "sync",
    "user_path",
    "whole_file",
    "whole_output_file",
]
