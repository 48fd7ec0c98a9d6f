"""Files that others may have written are opened by the helpers for them, and by nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for room in ("pgan_tf", "tfrecords_tools") for path in ROOT.glob(f"{room}/**/*.py")
)
# Ways past the helpers `regular_file`, `json_file`, `array_file`, `zip_archive` and `unpacking`.
PAST = re.compile(
    r"\.read_text\(|\.read_bytes\(|\.open\(\"r|json\.loads?\(|np\.load\(|zipfile\.ZipFile\("
    r"|gzip\.open\(|tarfile\.open\((path|name)|pickle\.load"
    r"|Image\.open\((?!opened|stream|io\.BytesIO)"
)
# The helpers themselves, and files that are the system's or this process's own.
ALLOWED = {
    "tfrecords_tools/untrusted/array_file.py",
    "tfrecords_tools/host.py",
    "tfrecords_tools/untrusted/json_file.py",
    "tfrecords_tools/untrusted/zip_archive.py",
    "tfrecords_tools/image_files/archives.py",  # after a check of its own
    "tfrecords_tools/untrusted/isolated.py",
    "pgan_tf/distribution/xla_environment.py",
    "pgan_tf/distribution/xla_probe.py",
    "pgan_tf/evaluation/feature_cache.py",
    "pgan_tf/exporting/hub/example.py",  # is copied, and runs without this project
    "pgan_tf/planning/cards.py",
    "pgan_tf/reporting/scalars.py",
    "pgan_tf/runs/grids.py",  # writes
    "pgan_tf/runs/saved_generator.py",  # writes
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_opened_by_the_helpers(path):
    if str(path.relative_to(ROOT)) in ALLOWED:
        return
    assert [line for line in path.read_text().splitlines() if PAST.search(line)] == []
