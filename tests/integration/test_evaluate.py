"""Whole commands: train with metrics, evaluate a run, follow its snapshots, and bad input."""

import json
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pgan_tf.cli import evaluate, train
from pgan_tf.config import NetworkConfig
from pgan_tf.evaluation.evaluator import Evaluator
from pgan_tf.metrics import train_digit_classifier
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.saved_generator import (
    GeneratorDescription,
    as_keras_model,
    describe_generator,
    find_generator,
    load_generator,
    save_generator,
)
from tests.helpers.small_inception import SmallInception, archive
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

FLAGS = [
    "--fmap_base=64",
    "--fmap_max=8",
    "--start_resolution=8",
    "--stabilize_kimg=0.032",
    "--fade_kimg=0.032",
    "--batch_size=8",
    "--total_kimg=0.096",
    "--ema_decay=0.9",
    "--mirror_augment",
    "--eval_metrics=swd,ms_ssim",
    "--eval_kimg=0.048",
    "--eval_num_images=16",
]
VALUES = {"swd/16", "swd/average", "ms_ssim", "ms_ssim/gap"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of labelled grayscale images that was evaluated as it went on."""
    directory = tmp_path_factory.mktemp("evaluate")
    labels = np.eye(3, dtype=np.float32)[np.arange(40) % 3]
    data = write_pyramid(directory / "data", resolution=16, channels=1, count=40, labels=labels)
    assert train.main([f"--data_dir={data}", f"--run_dir={directory / 'run'}", *FLAGS]) == 0
    return directory / "run"


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def scalars(run):
    events = EventAccumulator(str(run)).Reload()
    return {tag: [e.step for e in events.Tensors(tag)] for tag in events.Tags()["tensors"]}


def test_training_reports_metrics_at_intervals_and_at_the_ends_of_stages(run):
    found = [line for line in lines(run) if "metrics/swd/average" in line]
    assert [line["images_seen"] for line in found] == [32, 48, 96]
    assert {f"metrics/{name}" for name in VALUES} < set(found[0])
    assert scalars(run)["metrics/swd/average"][:3] == [32, 48, 96]


def test_training_keeps_the_best_network_beside_the_newest(run):
    best = describe_generator(run / "networks" / "best.keras")
    values = {
        line["images_seen"]: line["metrics/swd/average"]
        for line in lines(run)
        if "metrics/swd/average" in line
    }
    assert best["best"]["value"] == min(values.values())
    assert values[best["images_seen"]] == min(values.values())
    assert load_generator(run / "networks" / "best.keras").outputs[0].shape[1] in (8, 16)
    assert find_generator(run).name == "generator-000000.096.keras"


def test_a_run_is_evaluated_against_its_own_data(run, capsys):
    assert evaluate.main([f"--network={run}", "--num_images=16"]) == 0
    printed = capsys.readouterr().out
    content = json.loads((run / "metrics-000000.096.json").read_text())
    assert set(content["metrics"]) == set(content["floor"]) == set(content["spread"]) == VALUES
    assert content["mirror_augment"] is True
    assert (content["images_seen"], content["resolution"]) == (96, 16)
    assert "16 images for swd ms_ssim, at 16x16" in printed
    assert "mirrored at random; seed 0" in printed
    for name in VALUES:
        assert f"\n{name} " in printed
    assert "metrics/floor/swd/16" in scalars(run)


def test_every_snapshot_is_followed_and_drawn(run, tmp_path, capsys):
    arguments = [f"--network={run}", "--num_images=16", "--all_snapshots", f"--output={tmp_path}"]
    assert evaluate.main(arguments) == 0
    first = capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "metrics-000000.032.json",
        "metrics-000000.096.json",
        "metrics.png",
    ]
    with Image.open(tmp_path / "metrics.png") as image:
        assert image.width > 1000
    begun = [line.split(" ")[0] for line in first.splitlines()]
    # A line as each is done (the first is of 8x8 images, enlarged), and the table.
    assert begun == [
        "000000.032",
        "000000.096",
        "16",
        "",
        "000000.032",
        "000000.096",
        "floor",
        "*",
        "written:",
    ]
    assert evaluate.main(arguments) == 0
    again = capsys.readouterr().out
    assert again.count("(as found before)") == 2
    assert again.replace("  (as found before)", "") == first


def test_one_more_metric_is_computed_alone_and_leaves_the_others(run, tmp_path, monkeypatch):
    arguments = [f"--network={run}", "--num_images=16", f"--output={tmp_path}"]
    path = tmp_path / "metrics-000000.096.json"
    assert evaluate.main([*arguments, "--metrics=swd"]) == 0
    first = json.loads(path.read_text())
    assert evaluate.main([*arguments, "--metrics=ms_ssim", "--nofloor"]) == 0
    assert evaluate.main([*arguments, "--metrics=swd", "--seed=5"]) == 0
    asked = []
    measure = Evaluator.evaluate

    def note(self, fakes, *, label, only):
        asked.extend(metric.name for metric in only)
        return measure(self, fakes, label=label, only=only)

    monkeypatch.setattr(Evaluator, "evaluate", note)
    assert evaluate.main([*arguments, "--metrics=ms_ssim,swd"]) == 0
    assert asked == []
    second = json.loads(path.read_text())
    assert set(second["metrics"]) == set(second["floor"]) == VALUES
    for name, value in first["metrics"].items():
        assert second["metrics"][name] == value
    assert [entry["seed"] for entry in second["others"]] == [5]
    assert evaluate.main([*arguments, "--metrics=ms_ssim,swd", "--seed=5"]) == 0
    assert asked == ["ms_ssim"]


def test_more_fakes_than_there_are_reals_may_be_compared(run, tmp_path, capsys):
    arguments = [f"--network={run}", "--num_images=60", f"--output={tmp_path}"]
    assert evaluate.main([*arguments, "--metrics=ms_ssim"]) == 0
    assert "60 images (against 40 reals) for ms_ssim" in capsys.readouterr().out
    found = json.loads((tmp_path / "metrics-000000.096.json").read_text())
    assert found["num_images"] == {"ms_ssim": 60} and found["real_num_images"] == {"ms_ssim": 40}


def test_an_evaluation_that_was_lost_is_made_up_for_once(run, tmp_path):
    """As after a process that was killed while it evaluated: the checkpoint is there, no line."""
    killed = tmp_path / "run"
    flags = [f"--data_dir={run.parent / 'data'}", f"--run_dir={killed}", *FLAGS]

    def train_to(total_kimg):
        assert train.main([*flags, f"--total_kimg={total_kimg}"]) == 0
        return [line["images_seen"] for line in lines(killed) if "metrics/swd/average" in line]

    def lose(images_seen):
        rows = [
            line
            for line in lines(killed)
            if line["images_seen"] != images_seen or "metrics/swd/average" not in line
        ]
        (killed / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    assert train_to(0.032) == [32]
    lose(32)  # of a stage's end
    assert train_to(0.048) == [32, 48]
    lose(48)  # of an interval
    assert train_to(0.056) == [32, 48, 56]
    assert train_to(0.064) == [32, 48, 56, 64]
    lose(64)  # of the end of the run, after which there is nothing to train
    assert train_to(0.064) == [32, 48, 56, 64]


def test_networks_that_do_not_fit_are_refused_before_any_work(run, tmp_path, capsys):
    networks = tmp_path / "run" / "networks"
    networks.mkdir(parents=True)
    for file in (run / "networks").glob("generator-*.keras"):
        (networks / file.name).write_bytes(file.read_bytes())
    (tmp_path / "run" / "config.flags").write_text((run / "config.flags").read_text())
    newest = networks / "generator-000000.096.keras"
    content = bytearray(newest.read_bytes())
    with zipfile.ZipFile(newest) as archive:
        entry = archive.getinfo("model.weights.h5")
    content[entry.header_offset + entry.file_size // 2] ^= 255
    newest.write_bytes(content)
    cache = tmp_path / "cache"
    arguments = [f"--network={tmp_path / 'run'}", "--num_images=16", f"--cache_dir={cache}"]
    assert evaluate.main([*arguments, "--all_snapshots"]) == 2
    assert "generator-000000.096.keras: damaged: the checksum of" in capsys.readouterr().err
    rgb = write_pyramid(tmp_path / "rgb", resolution=16, channels=3)
    assert evaluate.main([*arguments[1:], f"--network={run}", f"--data_dir={rgb}"]) == 2
    (tmp_path / "file").write_text("")
    given = [*arguments[1:], f"--network={run}", f"--output={tmp_path / 'file' / 'below'}"]
    assert evaluate.main(given) == 2
    assert "below: results can't be written: Not a directory" in capsys.readouterr().err
    assert not cache.exists()


def test_snapshots_without_a_description_are_timed_by_their_names(tmp_path):
    data = write_pyramid(tmp_path / "data", resolution=16, channels=3)
    generator = Generator(NetworkConfig(resolution=16, fmap_base=64, fmap_max=8), seed=3)
    model = as_keras_model(generator, resolution=16, alpha=None)
    (tmp_path / "run" / "networks").mkdir(parents=True)
    for name in ("000001", "000002.500"):
        model.save(tmp_path / "run" / "networks" / f"generator-{name}.keras")
    arguments = [f"--network={tmp_path / 'run'}", f"--data_dir={data}", "--num_images=8"]
    assert evaluate.main([*arguments, "--all_snapshots", "--metrics=ms_ssim"]) == 0
    found = json.loads((tmp_path / "run" / "metrics-000002.500.json").read_text())
    assert found["images_seen"] == 2500
    assert (tmp_path / "run" / "metrics.png").exists()


def test_replicas_and_an_empty_cache_change_nothing(run, tmp_path):
    arguments = [f"--network={run}", "--num_images=16", f"--cache_dir={tmp_path / 'cache'}"]
    assert evaluate.main([*arguments, f"--output={tmp_path / 'one'}"]) == 0
    more = ["--logical_cpus=2", "--batch_size=3", "--nocache", f"--output={tmp_path / 'two'}"]
    # In a process of its own, since the CPU is split before TensorFlow starts.
    code = "import sys; from pgan_tf.cli.evaluate import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", code, *arguments, *more], check=True, timeout=300)
    found = []
    for name in ("one", "two"):
        content = json.loads(next((tmp_path / name).glob("*.json")).read_text())
        found.append({**content["metrics"], **content["floor"]})
    assert found[0] == pytest.approx(found[1], rel=1e-2)


def test_a_function_of_ones_own_gives_features(run, tmp_path, monkeypatch):
    (tmp_path / "my_features.py").write_text(
        "def extract(images):\n    return images.reshape(len(images), -1)[:, ::97] / 255.0\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = [f"--network={run}", "--num_images=16", f"--output={tmp_path}"]
    features = ["--metrics=fid,kid,precision_recall", "--features=my_features.py:extract"]
    assert evaluate.main([*arguments, *features]) == 0
    found = json.loads(next(tmp_path.glob("metrics-*.json")).read_text())["metrics"]
    assert found["fid"] > 0 and 0 <= found["precision_recall/recall"] <= 1


def test_an_inception_graph_and_a_classifier_of_digits_are_used(tmp_path, caplog):
    generator = Generator(NetworkConfig(resolution=16, fmap_base=64, fmap_max=8), seed=3)
    model = as_keras_model(generator, resolution=16, alpha=None)
    save_generator(tmp_path / "lone.keras", model, GeneratorDescription.from_json({}))
    data = write_pyramid(tmp_path / "data", resolution=16, channels=3)
    graph, digits = tmp_path / "small.tgz", tmp_path / "digits.keras"
    graph.write_bytes(archive(SmallInception().serialized()))
    blank = np.zeros([1, 16, 16], np.uint8)
    train_digit_classifier(blank, np.zeros(1, int), epochs=0).save(digits)
    given = [f"--network={tmp_path / 'lone.keras'}", f"--data_dir={data}", "--num_images=20"]
    given += [f"--inception={graph}", f"--digit_classifier={digits}", f"--output={tmp_path}"]
    assert evaluate.main([*given, "--metrics=fid,is,modes"]) == 0
    found = json.loads(next(tmp_path.glob("metrics-*.json")).read_text())["metrics"]
    assert found["fid"] > 0 and found["is"] >= 1 and found["modes/hit"] >= 1
    assert "small.tgz is not the published Inception graph" in caplog.text


def test_features_by_another_network_or_resizing_are_other_results(tmp_path, capsys):
    import keras_hub

    generator = Generator(NetworkConfig(resolution=16, fmap_base=64, fmap_max=8), seed=3)
    model = as_keras_model(generator, resolution=16, alpha=None)
    save_generator(tmp_path / "lone.keras", model, GeneratorDescription.from_json({}))
    data = write_pyramid(tmp_path / "data", resolution=16, channels=3)
    (tmp_path / "small.pb").write_bytes(SmallInception().serialized())
    sizes = {"num_layers": 1, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 16}
    keras_hub.models.DINOV2Backbone(patch_size=56, **sizes).save(tmp_path / "dinov2.keras")
    given = [f"--network={tmp_path / 'lone.keras'}", f"--data_dir={data}", "--num_images=20"]
    given += [f"--output={tmp_path}", "--metrics=fid,kid,density_coverage"]
    values = []
    for networks, name in (
        ([f"--inception={tmp_path}/small.pb"], "small.pb"),
        ([f"--inception={tmp_path}/small.pb", "--resize=clean"], "small.pb, clean resize"),
        (["--features=dinov2", f"--dinov2={tmp_path}/dinov2.keras"], "DINOv2 (dinov2.keras)"),
    ):
        assert evaluate.main([*given, *networks]) == 0
        printed = capsys.readouterr().out
        assert f"; features of {name}" in printed and "± " in printed
        content = json.loads((tmp_path / "metrics-lone.json").read_text())
        values.append(content["metrics"]["fid"])
        assert content["methods"] == {
            "fid": None,
            "kid": "subsets of half of the images",
            "density_coverage": None,
        }
    assert len(set(values)) == 3 and len(content["others"]) == 6
    assert content["extractors"]["fid"].startswith("DINOv2 ")


@pytest.fixture
def other_data(tmp_path):
    return {
        "small": write_pyramid(tmp_path / "small", resolution=8, channels=1),
        "rgb": write_pyramid(tmp_path / "rgb", resolution=16, channels=3),
        "unlabelled": write_pyramid(tmp_path / "unlabelled", resolution=16, channels=1),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--network is required"),
        (
            ["--network={tmp}/nothing"],
            "nothing: no such run directory, .keras file, folder, archive or pyramid",
        ),
        (["--network={tmp}"], "no generator in it"),
        (["--network={tmp}", "--all_snapshots"], "no generators to follow"),
        (["--network={lone}", "--all_snapshots"], "--all_snapshots needs a run directory"),
        (["--network={lone}"], "--data_dir is required"),
        (["--network={lone}", "--data_dir=gs://b/x"], "directory on a disk.* Received: gs://b/x"),
        (["--network={run}", "--metrics=fdi"], "--metrics must be of swd, .* Received: fdi"),
        (["--network={run}", "--num_images=41"], "--num_images must be at most 40"),
        (["--network={run}", "--data_dir={small}"], "grows to 16x16, but .*small has 8x8"),
        (["--network={run}", "--data_dir={rgb}"], r"draws 1 channel\(s\), but .*rgb has 3"),
        (["--network={run}", "--data_dir={unlabelled}"], "takes labels of 3 components"),
        (["--network={run}", "--metrics=modes"], "modes needs --digit_classifier"),
        (["--network={run}", "--bootstrap=1"], "--bootstrap must be 0, .* Received: 1"),
        (["--network={run}", "--bootstrap=10001"], r"in the range \[0, 10000\]"),
        (
            ["--network={run}", "--metrics=fid", "--features=dinov2", "--dinov2={tmp}/none"],
            "none: not DINOv2 as keras_hub saves it.*: no such file or folder",
        ),
        (
            ["--network={run}", "--metrics=fid", "--dinov2=x"],
            "--dinov2=x is for --features=dinov2.* Received: no such features",
        ),
        (
            ["--network={run}", "--metrics=fid", "--features=dinov2", "--resize=clean"],
            "--resize=clean is for Inception. Received: --features=dinov2",
        ),
        (["--network={run}", "--metrics=fid", "--inception={tmp}/no.tgz"], "no.tgz"),
        (["--network={broken}", "--data_dir={data}"], "broken.keras: not a"),
    ],
)
def test_mistakes_are_reported_in_one_line(run, tmp_path, other_data, capsys, arguments, message):
    lone = tmp_path / "lone.keras"
    lone.write_bytes(find_generator(run).read_bytes())
    broken = tmp_path / "broken.keras"
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("config.json", "{}")
    places = {
        "tmp": tmp_path,
        "run": run,
        "lone": lone,
        "broken": broken,
        "data": run.parent / "data",
    }
    given = [argument.format(**places, **other_data) for argument in arguments]
    assert evaluate.main([*given, f"--cache_dir={tmp_path / 'cache'}"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pgan-evaluate: error: ")
    assert re.search(message, error), error
    assert not list(tmp_path.rglob("metrics-*"))


@pytest.mark.parametrize("name", ["evaluation", "metrics"])
def test_nothing_is_written_through_a_link_in_a_run(run, tmp_path, capsys, name):
    copy, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns(name))
    elsewhere.mkdir()
    (copy / name).symlink_to(elsewhere)
    assert evaluate.main([f"--network={copy}", "--num_images=16"]) == 2
    assert f"run/{name}: is a symbolic link" in capsys.readouterr().err
    assert not any(elsewhere.iterdir())
