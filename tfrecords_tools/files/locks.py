"""Locks on open files and directories, which the operating system releases however a process ends.

Some file systems have none (Lustre without the option `flock`, some NFS). There, work goes on after
a warning.
"""

import errno
import fcntl
import functools

from absl import logging

# EBADF: NFS locks only what has been opened for writing, which no directory is.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF})


def lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file or directory, without waiting, until the descriptor is closed.

    Args:
      descriptor: of the open file or directory.
      shared: lock it for this process and others that do so.

    Returns:
      False if the file system has no locks, so that it is unknown if another process is at work.

    Raises:
      BlockingIOError: another process has locked it.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn()
        return False
    return True


@functools.cache  # once a process
def _warn() -> None:
    logging.warning(
        "this file system has no locks (flock), so see to it yourself that no other process writes "
        "to the same output or run directory"
    )
