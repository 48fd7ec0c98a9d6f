"""TensorFlow's import without its start-up messages."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Suppress TensorFlow's import-time stderr; replay it if the import fails.

    Messages about oneDNN and missing CUDA drivers are written before TensorFlow's log level takes
    effect, on every start, and read like errors. With TF_CPP_MIN_LOG_LEVEL=0 in the environment
    everything is shown; any other level that the user has set stays in effect.
    """
    # The networks are written for TensorFlow, whatever backend the user's Keras is set up for.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    users_level = os.environ.get(_LOG_LEVEL)
    if users_level == "0":
        yield
        return
    os.environ[_LOG_LEVEL] = users_level or "3"
    with tempfile.TemporaryFile() as suppressed:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(suppressed.fileno(), 2)
        try:
            yield
        except BaseException:
            suppressed.seek(0)
            os.write(stderr, suppressed.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            # TensorFlow has read the level; child processes should get the user's own.
            if users_level is None:
                del os.environ[_LOG_LEVEL]
