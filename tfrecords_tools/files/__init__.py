"""Files and directories that appear whole or not at all, and replace others without losing them.

Begin with `whole.py` for a file and `directories.py` for a directory. Imports no other room.
"""

from tfrecords_tools.files.directories import (
    check_output,
    partial_directory,
    put_back_replaced,
    remove_partial_directories,
    replace_directory,
    settle_output,
    staged_directory,
)
from tfrecords_tools.files.home import expand_home, user_path
from tfrecords_tools.files.whole import (
    is_system_file,
    remove_partial_files,
    sync,
    whole_file,
    whole_output_file,
)

__all__ = [
    "check_output",
    "expand_home",
    "is_system_file",
    "partial_directory",
    "put_back_replaced",
    "remove_partial_directories",
    "remove_partial_files",
    "replace_directory",
    "settle_output",
    "staged_directory",
    "sync",
    "user_path",
    "whole_file",
    "whole_output_file",
]
