import os
import subprocess
import sys

import pytest

from tfrecords_tools.host import available_memory, core_count

GIB = 2**30


@pytest.fixture
def root(tmp_path):
    """A machine with 8 GiB to spare."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(
        f"MemTotal: 999999999 kB\nMemFree: 1 kB\nMemAvailable:   {8 * 2**20} kB\n"
    )
    (tmp_path / "sys/fs/cgroup/memory").mkdir(parents=True)
    return tmp_path


def write(root, **files):
    for name, text in files.items():
        directory = root / "sys/fs/cgroup"
        version_1 = name in ("limit_in_bytes", "usage_in_bytes")
        path = directory / ("memory" if version_1 else "") / f"memory.{name}"
        path.write_text(f"{text}\n")


def test_without_a_limit_it_is_the_machines(root):
    assert available_memory(root) == 8 * GIB
    write(root, max="max", current=GIB)
    assert available_memory(root) == 8 * GIB


def test_a_containers_limit_counts_without_cached_files(root):
    write(root, max=4 * GIB, current=3 * GIB, stat=f"anon 5\ninactive_file {GIB}\nslab 7")
    assert available_memory(root) == 2 * GIB


def test_the_first_version_of_cgroups(root):
    write(root, limit_in_bytes=4 * GIB, usage_in_bytes=GIB)
    assert available_memory(root) == 3 * GIB


def test_a_limit_above_the_machine_does_not_matter(root):
    write(root, limit_in_bytes=9223372036854771712, usage_in_bytes=GIB)
    assert available_memory(root) == 8 * GIB


def test_other_systems_do_not_tell(tmp_path):
    assert available_memory(tmp_path) is None


@pytest.fixture
def eight_cores(tmp_path, monkeypatch):
    """A machine on which this process may use eight cores of more."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    (tmp_path / "sys/fs/cgroup/cpu").mkdir(parents=True)
    return tmp_path


def test_cores_are_those_of_the_affinity_mask(eight_cores, monkeypatch):
    assert core_count(eight_cores) == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    assert core_count(eight_cores) == 64


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [(200_000, 100_000, 2), (250_000, 100_000, 3), (50_000, 100_000, 1), (10**7, 100_000, 8)],
)
def test_cores_are_no_more_than_a_containers_quota(eight_cores, quota, period, expected):
    base = eight_cores / "sys/fs/cgroup"
    (base / "cpu.max").write_text(f"{quota} {period}\n")
    assert core_count(eight_cores) == expected
    (base / "cpu.max").unlink()
    (base / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (base / "cpu/cpu.cfs_period_us").write_text(f"{period}\n")
    assert core_count(eight_cores) == expected


def test_a_container_without_a_quota_has_all_cores(eight_cores):
    base = eight_cores / "sys/fs/cgroup"
    (base / "cpu.max").write_text("max 100000\n")
    (base / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (base / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert core_count(eight_cores) == 8


def test_memory_beyond_the_limit_is_an_error_and_mapped_files_do_not_count(tmp_path):
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 4 * GIB)
    code = (
        "import mmap, sys\n"
        "from tfrecords_tools.host import limit_memory\n"
        "limit_memory(2**30)\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "bytearray(2**29)\n"
        "try: bytearray(2**31)\n"
        "except MemoryError: print('refused')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "large")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "refused\n"
