import errno
import json
import os
import runpy
import subprocess
import sys

import keras
import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from PIL import Image

import pgan_tf
from pgan_tf.cli import export as command
from pgan_tf.exporting import export_generator
from pgan_tf.exporting.hub.card import gaps
from pgan_tf.exporting.hub.folder import KEY
from pgan_tf.metrics import DINOV2_DIGEST, INCEPTION_SHA256
from pgan_tf.runs.grids import draw_latents, to_uint8, to_uint16
from pgan_tf.runs.saved_generator import describe_generator, load_generator
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tests.helpers.hub_runs import ODD_NAMES, make_run, write_metrics
from tfrecords_tools.errors import UserError
from tfrecords_tools.shape import Base

pytestmark = pytest.mark.slow

FILES = {
    *("README.md", "config.json", "example.py", "generator.keras", "metadata.json"),
    *("model.weights.h5", "samples.png"),
}


WITHOUT_THIS_PROJECT = """
import runpy, sys
sys.modules["pgan_tf"] = sys.modules["tfrecords_tools"] = None  # importing them fails
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder of a run with metrics, and the run's generator."""
    directory = tmp_path_factory.mktemp("exported")
    run, model = make_run(directory)
    write_metrics(run)
    options = {"license": "CC-BY-4.0", "intended_use": "To *test*.", "title": "A: b #1"}
    export_generator(run, directory / "out", file_format="hub", **options)
    return directory / "out", model


@pytest.fixture(scope="module")
def card(exported):
    """The fields of the card, and its text."""
    _, front, text = (exported[0] / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


@pytest.fixture
def run_example(monkeypatch):
    """Runs a folder's example in this process; returns None, or the message that it ends with."""

    def run(folder, output, *arguments):
        monkeypatch.setattr(sys, "argv", ["example.py", f"--output={output}", *arguments])
        try:
            runpy.run_path(str(folder / "example.py"), run_name="__main__")
        except SystemExit as error:
            return error.code
        return None

    return run


def pictures(directory):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(directory.glob("*.png"))])


def test_a_folder_holds_what_the_hub_and_people_expect(exported):
    folder, _ = exported
    assert set(os.listdir(folder)) == FILES | {"neighbors-000005.png"}


def test_the_example_runs_without_this_project(exported, tmp_path):
    folder, model = exported
    example = str(folder / "example.py")
    subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_THIS_PROJECT, example),
            *(f"--output={tmp_path}", "--seed=3", "--count=6"),
        ],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        cwd=tmp_path,
        check=True,
    )
    latents = draw_latents(6, LATENT_SIZE, seed=3)
    expected = to_uint8(model([latents, np.eye(4, dtype=np.float32)[np.arange(6) % 4]]))
    assert np.abs(pictures(tmp_path).astype(int) - expected).max() <= 1


def test_the_example_draws_a_class_truncated(exported, tmp_path, run_example):
    folder, model = exported
    arguments = ("--truncation=0.5", "--class=a|b", "--count=3")
    assert run_example(folder, tmp_path / "images", *arguments) is None
    truncated = pgan_tf.with_truncation(model)
    inputs = [draw_latents(3, LATENT_SIZE, seed=0), np.eye(4, dtype=np.float32)[[0, 0, 0]]]
    expected = to_uint8(truncated([*inputs, np.full([3, 1], 0.5, np.float32)]))
    assert np.abs(pictures(tmp_path / "images").astype(int) - expected).max() <= 1
    message = run_example(folder, tmp_path / "images", "--class=none")
    assert message.startswith("--class must be one of a|b")


def test_keras_loads_the_folder_as_it_loads_one_of_the_hub(exported, rng):
    folder, model = exported
    loaded = keras.saving.load_model(folder)  # what its hf:// does after the download
    inputs = [rng.standard_normal([4, LATENT_SIZE]).astype(np.float32), np.eye(4, dtype="f4")]
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=1e-4)
    assert type(loaded.layers[-1]).__module__.startswith("keras.")


def test_the_description_survives(exported):
    description = describe_generator(exported[0] / "generator.keras")
    assert (description["kimg"], description["label_names"]) == (5, ODD_NAMES)
    about = json.loads((exported[0] / "config.json").read_text("utf-8"))[KEY]
    assert about["class_names"] == ODD_NAMES
    assert (about["kimg"], about["height"], about["latent_size"]) == (5, 8, LATENT_SIZE)
    assert about["data"] == {"name": "flowers", "count": 24, "source": ""}
    assert about["metrics"]["fid"] == 12.5


def test_the_front_matter_is_what_the_hub_reads(card):
    fields, _ = card
    assert fields["license"] == "cc-by-4.0"
    assert fields["library_name"] == "keras"
    assert fields["pipeline_tag"] == "unconditional-image-generation"
    assert "class-conditional" in fields["tags"]
    from huggingface_hub.repocard_data import model_index_to_eval_results

    name, results = model_index_to_eval_results(fields["model-index"])
    assert name == "A: b #1"
    assert [(r.metric_type, r.metric_value) for r in results] == [
        ("fid", 12.5),
        ("neighbors", 0.25),
    ]
    assert {r.dataset_name for r in results} == {"flowers"}


def test_the_card_names_metrics_data_and_training(card):
    _, text = card
    assert "| Metric | Value | Spread | Floor | Images |" in text
    assert "| fid | 12.50 | 0.5 | 1e-05 | 100 |" in text
    assert "- **Name:** flowers" in text
    assert "- **Images:** 24" in text
    assert "It was shown 5 thousand real images. Training took 10s." in text
    assert "--loss=wgan_gp" in text
    assert "![Neighbors](neighbors-000005.png)" in text


def test_metrics_against_other_data_are_told_apart(tmp_path):
    run, _ = make_run(tmp_path, names=["a", "b"])
    write_metrics(run, fid=10.0, with_neighbors=False)
    write_metrics(run, fid=20.0, with_neighbors=False, data="/home/alice/else", num_images=9)
    export_generator(run, tmp_path / "out", file_format="hub")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "| fid | 10.00 | 0.5 | 1e-05 | 100 | flowers |" in text
    assert "| fid | 20.00 | 0.5 | 1e-05 | 9 | else |" in text
    results = yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"]
    named = {result["dataset"]["name"]: result["metrics"][0]["value"] for result in results}
    assert named == {"flowers": 10.0, "else": 20.0}
    assert "alice" not in text


def test_values_of_other_features_do_not_pass_for_published_ones(tmp_path):
    run, _ = make_run(tmp_path, names=["a", "b"])
    for fid, extractor in [
        (1.0, INCEPTION_SHA256),
        (2.0, f"{INCEPTION_SHA256} clean"),
        (3.0, f"{DINOV2_DIGEST}1234"),
        (4.0, "5678"),
    ]:
        write_metrics(run, fid=fid, extractor=extractor, with_neighbors=False)
    export_generator(run, tmp_path / "out", file_format="hub")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    about = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["pgan_tf"]
    wanted = {
        "fid": 1.0,
        "fid (--resize=clean)": 2.0,
        "fid (features of DINOv2)": 3.0,
        "fid (other features)": 4.0,
    }
    assert about["metrics"] == wanted
    (result,) = yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"]
    assert {m["name"]: m["value"] for m in result["metrics"]} == wanted
    assert "| fid \\(other features\\) | 4 |" in text
    assert "these can't be compared" in text


def test_the_card_shows_the_mean_over_classes_and_leaves_out_each(tmp_path):
    run, _ = make_run(tmp_path, names=["a", "b"])
    write_metrics(run, by_class={"a": 1.0, "b": 3.0, "mean": 2.0}, with_neighbors=False)
    export_generator(run, tmp_path / "out", file_format="hub")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    about = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["pgan_tf"]
    assert "class/mean" in text
    assert "class/a" not in text
    assert "single classes are in `config.json`" in text
    assert about["metrics"]["fid_by_class/a"] == 1.0


def test_nothing_of_the_machine_is_in_the_folder(exported):
    folder, _ = exported
    for path in folder.iterdir():
        content = path.read_bytes()
        assert b"alice" not in content, path
        assert b"secret" not in content, path
        assert str(folder.parent).encode() not in content, path


def test_odd_names_are_shown_as_they_are(card):
    html = MarkdownIt().enable("table").render(card[1])
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "--- # *x* [y](z) `q` \\u202e" in html
    assert "a|b" in html
    assert "<h1>A: b #1</h1>" in html
    assert html.count("<h2>") == 9


def test_gaps_are_marked(exported):
    text = (exported[0] / "README.md").read_text("utf-8")
    assert ["--data_description" in gap or "--limitations" in gap for gap in gaps(text)] == [
        True
    ] * 2
    assert "To *test*." in text


def test_samples_show_a_class_a_row(exported):
    folder, model = exported
    sheet = np.asarray(Image.open(folder / "samples.png"))
    assert sheet.shape == (4 * 8, 12 * 8, 3)
    latents = draw_latents(48, LATENT_SIZE, seed=0)
    labels = np.eye(4, dtype=np.float32)[np.arange(48) // 12]
    expected = to_uint8(model([latents, labels]))
    third = sheet[16:24].reshape(8, 12, 8, 3).transpose(1, 0, 2, 3)
    assert np.abs(third.astype(int) - expected[24:36]).max() <= 1


def test_the_most_images_win_and_other_networks_do_not_count(tmp_path):
    run, _ = make_run(tmp_path, names=["a", "b"])
    write_metrics(run, label="000005", fid=10.0, num_images=50, with_neighbors=False)
    write_metrics(run, label="best", fid=20.0, num_images=500, with_neighbors=False)
    path = run / "metrics-000005.json"
    (run / "metrics-other.json").write_text(
        path.read_text()
        .replace('"network_digest": "', '"network_digest": "0')
        .replace("10.0", "1.0")
    )
    (run / "metrics-broken.json").write_text("{")
    export_generator(run, tmp_path / "out", file_format="hub")
    about = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))[KEY]
    assert about["metrics"] == {"fid": 20.0}


@pytest.mark.parametrize(
    ("channels", "options", "description", "mode", "size"),
    [
        (4, {"base": Base(height=5, width=9)}, {}, "RGBA", (18, 10)),
        (2, {}, {}, "LA", (8, 8)),
        (1, {}, {"bits": 16}, "I;16", (8, 8)),
    ],
    ids=["rectangles with alpha", "gray with alpha", "16 bits"],
)
def test_other_images_are_handed_on(
    tmp_path, run_example, channels, options, description, mode, size
):
    file = tmp_path / "g.keras"
    model = save_tiny_generator(file, channels=channels, options=options, description=description)
    export_generator(file, tmp_path / "out", file_format="hub")
    assert run_example(tmp_path / "out", tmp_path / "images", "--count=1") is None
    image = Image.open(tmp_path / "images" / "000000.png")
    assert (image.mode, image.size) == (mode, size)
    convert = to_uint16 if mode == "I;16" else to_uint8
    expected = convert(model(draw_latents(1, LATENT_SIZE, seed=0)))[0]
    near = np.abs(np.asarray(image).reshape(expected.shape).astype(int) - expected)
    assert near.max() <= (1 if mode != "I;16" else 16)
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert f"- **Resolution:** {size[0]}x{size[1]}" in text
    assert "metrics of this generator" in "".join(gaps(text))
    assert "## Training\n" not in text


def test_an_imported_network_is_handed_on(tmp_path):
    description = {
        "imported_from": "net_*.pkl",
        "original_name": "Gs",
        "original_version": "TensorFlow",
    }
    save_tiny_generator(tmp_path / "generator.keras", description=description)
    export_generator(tmp_path, tmp_path / "out", file_format="hub")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert r"Imported from net\_\*.pkl" in text
    assert "(Gs, TensorFlow)" in text


def test_the_command_lists_gaps(tmp_path, capsys):
    save_tiny_generator(tmp_path / "g.keras")
    arguments = [f"--network={tmp_path / 'g.keras'}", f"--output={tmp_path / 'out'}"]
    assert command.main([*arguments, "--format=hub", "--license=mit"]) == 0
    lines = capsys.readouterr().out.splitlines()
    filled = [line for line in lines if "to be filled in" in line]
    assert len(filled) == 4
    assert not any("--license" in line for line in filled)
    assert command.main([*arguments, "--format=keras", "--license=mit"]) == 2
    assert "--license is for --format=hub. Received: --format=keras" in capsys.readouterr().err
    assert command.main([*arguments, "--format=hub"]) == 2
    assert "exists already; --overwrite replaces it" in capsys.readouterr().err
    assert command.main([*arguments, "--format=hub", "--private", "--overwrite"]) == 2
    assert "--private goes with --push_to" in capsys.readouterr().err


def test_an_edited_card_is_never_replaced(tmp_path):
    save_tiny_generator(tmp_path / "g.keras")
    out = tmp_path / "out"
    export_generator(tmp_path / "g.keras", out, file_format="hub")
    export_generator(tmp_path / "g.keras", out, file_format="hub", overwrite=True)
    (out / "README.md").write_text("my own words")
    with pytest.raises(UserError, match=r"never replaced.*one with README.md"):
        export_generator(tmp_path / "g.keras", out, file_format="hub", overwrite=True)
    assert (out / "README.md").read_text() == "my own words"


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    save_tiny_generator(tmp_path / "g.keras")
    monkeypatch.setattr("pgan_tf.exporting.hub.folder.write_card", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_generator(tmp_path / "g.keras", tmp_path / "out", file_format="hub")
    assert os.listdir(tmp_path) == ["g.keras"]


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    save_tiny_generator(tmp_path / "g.keras")

    def fill(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pgan_tf.exporting.hub.folder.write_card", fill)
    with pytest.raises(UserError, match=r"^--output=.*out: can't be written: No space left"):
        export_generator(tmp_path / "g.keras", tmp_path / "out", file_format="hub")
    assert os.listdir(tmp_path) == ["g.keras"]


def test_labels_that_are_no_classes_are_named_so(tmp_path):
    description = {"label_rows": [[1, 1, 0], [0, 1, 1]], "label_names": ["red", "big", "new"]}
    file = tmp_path / "g.keras"
    model = save_tiny_generator(file, label_size=3, description=description)
    export_generator(file, tmp_path / "out", file_format="hub")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "- **Labels:** 3, of which an image may have several" in text
    assert "Labels, in their order: red, big, new." in text
    sheet = np.asarray(Image.open(tmp_path / "out" / "samples.png"))
    latents = draw_latents(96, LATENT_SIZE, seed=0)
    rows = np.array(description["label_rows"], np.float32)[np.arange(96) % 2]
    expected = to_uint8(model([latents, rows]))
    drawn = sheet.reshape(8, 8, 12, 8, 3).swapaxes(1, 2).reshape(96, 8, 8, 3)
    assert np.abs(drawn.astype(int) - expected).max() <= 1


def test_a_damaged_sheet_or_a_link_is_left_out(tmp_path):
    run, _ = make_run(tmp_path, names=["a", "b"])
    write_metrics(run)
    sheet = run / "neighbors-000005.png"
    sheet.write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    export_generator(run, tmp_path / "out", file_format="hub")
    assert "neighbors-000005.png" not in os.listdir(tmp_path / "out")
    sheet.unlink()
    sheet.symlink_to("/etc/hostname")
    export_generator(run, tmp_path / "linked", file_format="hub")
    assert "neighbors-000005.png" not in os.listdir(tmp_path / "linked")


def test_the_sheet_of_neighbors_is_left_out_on_demand(tmp_path):
    run, _ = make_run(tmp_path, names=["a", "b"])
    write_metrics(run)
    export_generator(run, tmp_path / "out", file_format="hub", neighbors=False)
    assert set(os.listdir(tmp_path / "out")) == FILES


def test_a_handed_on_folder_can_be_handed_on_again(exported, tmp_path):
    export_generator(exported[0] / "generator.keras", tmp_path / "out", file_format="hub")
    loaded = load_generator(tmp_path / "out" / "generator.keras")
    inputs = [draw_latents(4, LATENT_SIZE, seed=0), np.eye(4, dtype=np.float32)]
    np.testing.assert_allclose(loaded(inputs), exported[1](inputs), atol=1e-4)
