"""In processes of their own, which a fault would end."""

import signal
import subprocess
import sys

import numpy as np
import pytest

START = """
import os, signal, sys, threading
import numpy as np
from pathlib import Path
from tfrecords_tools.format.mapped_file import MappedFile
path = Path(sys.argv[1])
file = MappedFile(path)
os.truncate(path, 5000)
"""


def run(tmp_path, code):
    np.full(3 << 20, 7, np.uint8).tofile(tmp_path / "file")
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", START + code, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(file.data.sum(), file.data[4999], file.data[5000], bytes(file.data[-3:]))",
         "35000 7 0 b'\\x00\\x00\\x00'"),
        ("file.data.sum(); os.truncate(path, 0); print(file.data.sum())", "0"),
        ("file.data.sum(); os.truncate(path, 3 << 20); print(file.data.sum())", "35000"),
        ("""
threads = [threading.Thread(target=lambda: sums.append(file.data.sum())) for _ in range(8)]
sums = []
for thread in threads: thread.start()
for thread in threads: thread.join()
print(set(map(int, sums)))
""", "{35000}"),
    ],
)  # fmt: skip
def test_lost_pages_are_zeros(tmp_path, code, said):
    done = run(tmp_path, code)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, said, "")


@pytest.mark.parametrize(
    "code",
    [
        "other = np.memmap(path, np.uint8, 'r', shape=5000); os.truncate(path, 0); other.sum()",
        "os.truncate(path, 3 << 20); os.kill(os.getpid(), signal.SIGBUS)",
        "del file; other = np.memmap(path, np.uint8, 'r'); os.truncate(path, 0); other.sum()",
    ],
)
def test_other_faults_end_the_process_and_are_explained_as_before(tmp_path, code):
    done = run(tmp_path, code)
    assert done.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in done.stderr
