"""A whole run in TensorBoard."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import wandb
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from pgan_tf.cli import train
from pgan_tf.reporting.tag_descriptions import describe_tag
from tests.helpers.tiny import write_pyramid
from tests.helpers.wandb_files import read_run

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A complete run with labels, histograms and a trace, which W&B follows."""
    root = tmp_path_factory.mktemp("watching")
    labels = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    data = write_pyramid(root / "tiny", resolution=8, channels=3, labels=labels)
    arguments = [
        f"--data_dir={data}",
        f"--run_dir={root / 'run'}",
        *("--fmap_base=32", "--fmap_max=8", "--batch_size=8", "--total_kimg=0.048"),
        *("--stabilize_kimg=0.032", "--fade_kimg=0.032", "--tick_kimg=0.016"),
        *("--histograms", "--profile=2:3", "--wandb"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        assert train.main(arguments) == 0
    wandb.teardown()  # so that its file is complete
    return root / "run"


@pytest.fixture(scope="module")
def events(run_dir):
    read = EventAccumulator(str(run_dir), size_guidance={"tensors": 0})
    read.Reload()
    return read


def tags_of(events, plugin):
    return events.PluginTagToContent(plugin).keys()


def test_scalars_are_the_values_of_metrics_jsonl(run_dir, events):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == [16, 32, 48]
    tags = tags_of(events, "scalars")
    assert tags == lines[0].keys() - {"images_seen", "step"}
    for tag in tags:
        for line, event in zip(lines, events.Tensors(tag), strict=True):
            assert event.step == line["images_seen"] == line["step"]
            value = float(tf.make_ndarray(event.tensor_proto))
            assert value == pytest.approx(line[tag], rel=1e-6), tag


def test_every_scalar_is_reported(events):
    expected = {
        "loss": {"discriminator", "generator", "gradient_penalty", "gradient_norm", "drift",
                 "label_real", "label_fake", "label_generator"},
        "scores": {"real", "fake"},
        "updates": {"discriminator_gradient_norm", "generator_gradient_norm",
                    "discriminator_skipped", "generator_skipped"},
        "progress": {"kimg", "resolution", "alpha", "batch_size", "learning_rate", "eta_hours"},
        "speed": {"images_per_second", "seconds_per_kimg", "data_wait_fraction",
                  "host_seconds_per_step"},
        "memory": {"host_gib", "host_peak_gib"},
    }  # fmt: skip
    found = {tag for tag in tags_of(events, "scalars") if not tag.startswith("memory/gpu")}
    assert found == {f"{group}/{name}" for group, names in expected.items() for name in names}


def test_every_tag_is_described_here_and_in_the_documentation(events):
    documented = re.findall(r"^\| `([^`]+)`", (DOCS / "guide" / "watching.md").read_text(), re.M)
    shown = [*tags_of(events, "scalars"), *tags_of(events, "images")]
    assert len(shown) > 25
    for tag in shown:
        assert describe_tag(tag), tag
        assert tag in documented


def test_fakes_follow_reals_in_order(events):
    assert [event.step for event in events.Tensors("images/reals")] == [0]
    assert [event.step for event in events.Tensors("images/fakes")] == [0, 32, 48]


def test_histograms_come_with_each_grid_for_the_stage_being_trained(events):
    tags = tags_of(events, "histograms")
    assert {tag.split("/")[0] for tag in tags} == {"weights_generator", "weights_discriminator"}
    first = events.Tensors("weights_generator/4x4_conv/kernel_gradient")
    assert [event.step for event in first] == [0, 32, 48]
    assert tf.make_ndarray(first[0].tensor_proto).shape == (1, 3)  # zeros, before any step
    assert np.ptp(tf.make_ndarray(first[1].tensor_proto)[:, 0]) > 0
    later = events.Tensors("weights_discriminator/8x8_conv0/kernel")
    assert [event.step for event in later] == [48]


def test_a_trace_is_where_tensorboard_looks_for_it(run_dir):
    assert len(list(run_dir.glob("plugins/profile/*/*.xplane.pb"))) == 1


def test_weights_and_biases_has_the_same_scalars_and_grids(run_dir):
    [file] = run_dir.glob("wandb/offline-run-*/*.wandb")
    found = read_run(file)
    assert (found["project"], found["name"]) == (run_dir.parent.name, "run")
    assert found["config"]["batch_size"] == 8
    rows = {row["global_step"]: row for row in found["history"]}
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        for tag in line.keys() - {"images_seen", "step"}:
            assert rows[line["step"]][tag] == pytest.approx(line[tag], rel=1e-6), tag
    grids = [step for step, row in rows.items() if "images/fakes/filenames" in row]
    assert grids == [0, 32, 48]


def test_a_run_can_be_continued_without_being_traced_again(run_dir):
    assert train.main([f"--run_dir={run_dir}", "--total_kimg=0.064", "--nowandb"]) == 0
    assert len(list(run_dir.glob("plugins/profile/*"))) == 1
    assert "--histograms=true" in (run_dir / "config.flags").read_text()
