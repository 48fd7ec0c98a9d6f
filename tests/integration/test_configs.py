"""Every flagfile of configs/: says what it is, is accepted, and can be planned."""

import re
from pathlib import Path

import pytest

from pgan_tf import flags
from pgan_tf.cli import train as command

ROOT = Path(__file__).parent.parent.parent
CONFIGS = sorted((ROOT / "configs").rglob("*.flags"))


def name(path):
    return str(path.relative_to(ROOT / "configs").with_suffix(""))


def read(path):
    return flags.parse_flagfile(path.read_text(), str(path))


@pytest.fixture(params=CONFIGS, ids=name)
def path(request):
    return request.param


def test_there_are_flagfiles_of_every_group():
    names = {name(path) for path in CONFIGS}
    for gpus in (1, 2, 4, 8):
        assert {f"celebahq_1024_{gpus}gpu{suffix}" for suffix in ("", "_fp16", "_bf16")} <= names
    rows = ("a", "b", "c", "d", "e_star", "e", "f", "g", "h")
    assert {f"ablation/{data}_{row}" for data in ("celeba", "bedroom") for row in rows} <= names


def test_it_says_what_it_is_and_whether_we_measured_it(path):
    comment = re.match("(?:#.*\n)+", path.read_text())
    assert comment, "a flagfile opens with a comment"
    fields = re.split(r"^# (Data|Hardware|Expect): +", comment[0], flags=re.MULTILINE)
    what, keys, values = fields[0], fields[1::2], fields[2::2]
    assert keys == ["Data", "Hardware", "Expect"]
    assert len(what) > 20
    data, hardware, expect = (" ".join(re.split(r"[\s#]+", value)) for value in values)
    assert data.startswith("pgan-prepare-tfrecords --source=")
    assert re.search(r"\d (GPU|CPU)", hardware)
    assert re.search(r"minute|hour|day|month|week", hardware)
    assert re.search(r"Measured; see \S+\.md|Not measured here", expect)


def test_it_is_in_the_table_of_configurations(path):
    page = (ROOT / "docs" / "configurations.md").read_text()
    assert f"`{name(path)}`" in page


def test_it_is_planned_to_its_final_resolution_within_what_a_gpu_holds(path, capsys):
    config = read(path)
    gpus = int(found[1]) if (found := re.search(r"_(\d)gpu", path.name)) else 1
    assert command.main([f"--flagfile={path}", "--plan", f"--plan_replicas={gpus}"]) == 0
    out = capsys.readouterr().out
    assert f"to {config.network.resolution}x{config.network.resolution}" in out
    assert f"{config.run.precision}, on {gpus} replica(s)" in out
    last = [line.split() for line in out.splitlines() if re.match(r" *\d+x\d+ ", line)][-1]
    assert last[:2] == [f"{config.network.resolution}x{config.network.resolution}", "stabilize"]
    most = {256: 16, 512: 8, 1024: 4}  # of float32, by the original
    for resolution, limit in most.items():
        if resolution <= config.network.resolution:
            assert config.schedule.batch_size_at(resolution) / gpus <= limit
