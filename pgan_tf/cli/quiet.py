"""Importing TensorFlow without its start-up chatter."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps what TensorFlow writes to stderr while it is imported to itself, unless that fails.

    Lines about oneDNN and missing CUDA drivers come before its log level is in force, on every
    start and every machine, and read like errors. A user who sets TF_CPP_MIN_LOG_LEVEL to 0 sees
    all of them; any other level of the user's stays as it is.
    """
    # The networks are written for this one, whatever else the user's Keras is set up for.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    users_own = os.environ.get(_LOG_LEVEL)
    if users_own == "0":
        yield
        return
    os.environ[_LOG_LEVEL] = users_own or "3"
    with tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            # TensorFlow has read it; a process that this one starts should be told by its own user.
            if users_own is None:
                del os.environ[_LOG_LEVEL]
