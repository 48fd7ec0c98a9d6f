"""TensorFlow's import-time stderr, in processes of their own."""

import os
import subprocess
import sys

import pytest

CODE = """
import os
from pgan_tf.cli.quiet import quiet_tensorflow
before = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
with quiet_tensorflow():
    os.write(2, b"chatter")
assert os.environ.get("TF_CPP_MIN_LOG_LEVEL") == before
"""


def stderr(code, level):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    call = [sys.executable, "-c", code]
    return subprocess.run(call, env=environment, capture_output=True, timeout=60).stderr.decode()


@pytest.mark.parametrize(("level", "seen"), [(None, ""), ("3", ""), ("1", ""), ("0", "chatter")])
def test_stderr_is_suppressed_unless_the_log_level_is_0(level, seen):
    assert stderr(CODE, level) == seen


def test_stderr_is_replayed_if_the_import_fails():
    code = CODE.replace('b"chatter")', 'b"chatter"); import no_such_module')
    shown = stderr(code, None)
    assert shown.startswith("chatter")
    assert "No module named 'no_such_module'" in shown
