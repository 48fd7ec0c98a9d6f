import pytest

from tfrecords_tools.host import available_memory

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
