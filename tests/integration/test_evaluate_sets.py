"""The whole command on any mixture of folders, archives, pyramids and generators."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from pgan_tf.cli import evaluate
from pgan_tf.config.flags import to_flagfile
from pgan_tf.evaluation.opening import open_sides
from pgan_tf.evaluation.options import EvaluateOptions
from pgan_tf.runs.data_note import note_lines
from tests.helpers.extracted import extract
from tests.helpers.generators import save_tiny_generator
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

METRICS = "swd,ms_ssim,fid,kid,precision_recall,density_coverage,neighbors"
FEATURES = """
import numpy as np

def means(images):
    return images.reshape(len(images), 2, 8, 2, 8, 3).mean((2, 4)).reshape(len(images), -1)
"""
LABELS = np.eye(3, dtype=np.float32)[np.arange(40) % 3]
DESCRIPTION = {"resolution": 16, "final_resolution": 16, "channels": 1}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Data and samples as pyramids, as folders and as an archive, all grayscale of 16x16."""
    root = tmp_path_factory.mktemp("sets")
    found = {"root": root, "features": root / "features.py"}
    found["features"].write_text(FEATURES)
    for name, seed in (("data", 0), ("samples", 1)):
        made = {"resolution": 16, "channels": 1, "count": 40, "labels": LABELS, "seed": seed}
        found[name] = write_pyramid(root / "pyramids" / name, **made)
        found["png" if name == "samples" else "reals"] = extract(found[name], root / "files" / name)
    found["zip"] = root / "samples.zip"
    with zipfile.ZipFile(found["zip"], "w") as archive:
        for path in sorted(found["png"].iterdir()):
            archive.write(path, f"samples/{path.name}")
    found["generator"] = root / "generator.keras"
    save_tiny_generator(found["generator"], resolution=16, channels=1, description=DESCRIPTION)
    return found


def run(places, output, *given):
    arguments = [f"--features={places['features']}:means", f"--output={output}", *given]
    if not any(argument.startswith("--metrics") for argument in given):
        arguments.append(f"--metrics={METRICS}")
    return evaluate.main([*arguments, f"--cache_dir={output / 'cache'}"])


def results(places, output, *given):
    assert run(places, output, *given) == 0
    (path,) = output.glob("metrics-*.json")
    return json.loads(path.read_text())


def test_samples_are_the_same_in_a_pyramid_a_folder_and_an_archive(places, tmp_path):
    data = f"--data_dir={places['data']}"
    found = [
        results(places, tmp_path / name, f"--network={places[name]}", data)
        for name in ("samples", "png", "zip")
    ]
    for each in found[1:]:
        assert each["metrics"] == found[0]["metrics"] and each["floor"] == found[0]["floor"]
    assert [each["fakes"] for each in found] == [
        {"kind": kind, "images": 40} for kind in ("pyramid", "folder", "archive")
    ]
    assert found[0]["metrics"]["swd/16"] > 0 and "reals" not in found[0]
    names = [next((tmp_path / n).glob("*.json")).name for n in ("samples", "png", "zip")]
    assert names == ["metrics-samples.json"] * 3


@pytest.mark.parametrize("network", ["png", "generator"])
def test_data_are_the_same_in_a_pyramid_and_in_a_folder(places, tmp_path, network):
    given = [f"--network={places[network]}", "--mirror_augment", "--num_images=36"]
    first, second = (
        results(places, tmp_path / name, *given, f"--data_dir={places[name]}")
        for name in ("data", "reals")
    )
    assert second["metrics"] == first["metrics"] and second["floor"] == first["floor"]
    assert second["reals"] == {"kind": "folder", "images": 40}
    assert second["data_digest"] != first["data_digest"] and "reals" not in first


def test_a_conditional_run_draws_the_labels_of_its_own_data(places, tmp_path):
    config = tiny_config(places["data"], tmp_path / "run", channels=1, label_size=3)
    (tmp_path / "run").mkdir()
    notes = note_lines(open_pyramid(places["data"]))
    (tmp_path / "run" / "config.flags").write_text("\n".join([to_flagfile(config), *notes]))
    network = tmp_path / "run" / "networks" / "generator-000001.keras"
    description = {**DESCRIPTION, "resolution": 8, "final_resolution": 8, "label_size": 3}
    save_tiny_generator(network, resolution=8, channels=1, label_size=3, description=description)
    small = extract(places["data"], tmp_path / "small", resolution=8)
    given = [f"--network={tmp_path / 'run'}", "--metrics=fid"]
    places = {**places, "features": tmp_path / "features.py"}
    places["features"].write_text(FEATURES.replace("2, 8, 2, 8", "2, 4, 2, 4"))
    own = results(places, tmp_path / "own", *given)
    events = sorted((tmp_path / "run").glob("events*"))
    flat = results(places, tmp_path / "flat", *given, f"--data_dir={small}")
    assert events and sorted((tmp_path / "run").glob("events*")) == events
    assert flat["metrics"] == own["metrics"]
    assert flat["labels_from"] == str(places["data"]) and "labels_from" not in own
    by_class = extract(places["data"], tmp_path / "by_class", resolution=8, labels="folders")
    found = results(places, tmp_path / "classes", *given, f"--data_dir={by_class}")
    assert "labels_from" not in found and found["metrics"]["fid"] > 0
    description["label_size"] = 0
    save_tiny_generator(network, resolution=8, channels=1, description=description)
    plain = results(places, tmp_path / "plain", *given, f"--data_dir={small}")
    assert "labels_from" not in plain


def test_folders_named_by_the_numbers_of_classes_without_names_have_labels(places, tmp_path):
    folder = extract(places["samples"], tmp_path / "png", labels="folders")
    for network, labelled in ((folder, True), (places["samples"], True), (places["png"], False)):
        options = EvaluateOptions(network=str(network), data_dir=str(places["data"]))
        selection, reals = open_sides(options)
        (stored,) = selection.snapshots
        fakes = stored.load(reals, reals, strategy=None, batch_size=None, count=40)
        labels = fakes.labels_of(0, 40)
        assert (labels is not None) == labelled
        if network == folder:
            expected = [int(fakes.images.survey.name(n).split("/")[-2]) for n in range(40)]
            drawn = fakes.images.labels_of(np.arange(40)).argmax(axis=1)
            assert drawn.tolist() == expected and reals.labels_of(0, 40).shape == labels.shape


def test_images_that_are_compared_with_themselves_have_no_distance(places, tmp_path, capsys):
    folder = places["reals"]
    given = [f"--network={folder}", f"--data_dir={folder}", "--num_images=30"]
    found = results(places, tmp_path, *given, "--metrics=swd,ms_ssim,fid,precision_recall")
    assert found["metrics"]["swd/average"] == 0 and found["metrics"]["ms_ssim/gap"] == 0
    assert found["metrics"]["fid"] == pytest.approx(0, abs=1e-6)
    assert found["metrics"]["precision_recall/f1"] == 1
    assert "are the same images, which are compared with themselves\n" in capsys.readouterr().out


def test_gray_counts_as_rgb_where_the_other_side_is_rgb(places, tmp_path, capsys):
    rgb = tmp_path / "rgb"
    rgb.mkdir()
    for path in places["reals"].iterdir():
        with Image.open(path) as image:
            image.convert("RGB").save(rgb / path.name)
    given = ["--metrics=swd,fid", "--mirror_augment"]
    samples, gray = places["png"], places["reals"]
    found = [
        results(places, tmp_path / "1", *given, f"--network={samples}", f"--data_dir={rgb}"),
        results(places, tmp_path / "2", *given, f"--network={rgb}", f"--data_dir={gray}"),
        results(places, tmp_path / "3", *given, f"--network={samples}", f"--data_dir={gray}"),
    ]
    assert found[0]["metrics"]["fid"] == found[2]["metrics"]["fid"]
    assert found[1]["gray"] == "as RGB" and "gray" not in found[0] | found[2]
    generator = results(
        places, tmp_path / "4", *given, f"--network={places['generator']}", f"--data_dir={rgb}"
    )
    assert generator["metrics"]["swd/16"] > 0
    assert capsys.readouterr().out.count("; grayscale images count as RGB\n") == 1


def test_neighbors_are_found_of_a_folder_of_copies(places, tmp_path, capsys):
    given = [f"--network={places['reals']}", f"--data_dir={places['data']}"]
    found = results(places, tmp_path, *given, "--metrics=neighbors", "--num_images=8")
    assert found["metrics"]["neighbors/pixels/below_all"] == 1
    rgb = tmp_path / "rgb"
    rgb.mkdir()
    Image.new("RGB", (16, 16)).save(rgb / "1.png")
    given = [f"--network={rgb}", f"--data_dir={places['data']}", "--metrics=neighbors"]
    assert results(places, tmp_path / "x", *given, "--num_images=1")["gray"] == "as RGB"
    with Image.open(tmp_path / "neighbors-data.png") as sheet:
        assert sheet.height > 200


def test_sizes_are_made_equal_only_if_asked_for(places, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number in range(6):
        size = (40, 30) if number % 2 else (20, 20)
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(mixed / f"{number}.png")
    given = [f"--network={mixed}", "--metrics=ms_ssim", f"--data_dir={places['data']}"]
    assert run(places, tmp_path / "out", *given) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert re.search(
        r"--network=.*mixed: images of several sizes, such as 20x20 \(0.png\) and 30x40 \(1.png\), "
        r"but .*data has 16x16; --resolution=16 crops and scales them",
        line,
    )
    assert not (tmp_path / "out").exists()
    found = results(places, tmp_path / "out", *given, "--resolution=16")
    assert found["fakes"] == {"kind": "folder", "images": 6, "fitted": "center, lanczos"}
    assert found["resolution"] == 16
    assert run(places, tmp_path / "x", *given, "--resolution=32") == 2
    message = "--resolution must be a size of .*: 16x16 8x8 4x4. Received: 32x32"
    assert re.search(message, capsys.readouterr().err)
    both = [f"--network={mixed}", f"--data_dir={mixed}", "--metrics=ms_ssim", "--nofloor"]
    assert run(places, tmp_path / "x", *both, "--resolution=30x30") == 2
    assert re.search(
        r"0.png: is 20x20 pixels, too small for 30x30 \(3 such files in .*mixed\); use a smaller "
        r"--resolution, or --skip_bad_images",
        capsys.readouterr().err,
    )
    found = results(places, tmp_path / "y", *both, "--resolution=30x30", "--skip_bad_images")
    assert (found["fakes"]["images"], found["fakes"]["skipped"]) == (3, 3)
    assert (found["resolution"], found["size"]) == (None, "30x30")
    for metric in ("swd", "neighbors"):
        assert run(places, tmp_path / "x", *both[:2], f"--metrics={metric}", "--resolution=20") == 2
        error = capsys.readouterr().err
        assert f"{metric} needs images of a size that pyramids have; --resolution=16x16 or" in error


def test_a_level_of_the_size_of_files_is_taken(places, tmp_path, capsys):
    half = extract(places["samples"], tmp_path / "half", resolution=8)
    given = [f"--network={half}", f"--data_dir={places['data']}", "--metrics=precision_recall"]
    places = {**places, "features": tmp_path / "features.py"}
    places["features"].write_text(FEATURES.replace("2, 8, 2, 8", "2, 4, 2, 4"))
    assert results(places, tmp_path / "out", *given)["resolution"] == 8
    assert ", at 8x8, against" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network={png}"], "--data_dir is required: .*samples holds images, which"),
        (["--network={png}", "--data_dir={generator}"], "generator, which goes to --net"),
        (
            ["--network={png}", "--data_dir={tmp}/run"],
            "generators, which go to --network",
        ),
        (
            ["--network={png}", "--data_dir={features}"],
            "archive of images. Received: a f",
        ),
        (
            ["--network={png}", "--data_dir={tmp}/empty"],
            "no images. Received: an empty f",
        ),
        (["--network={png}", "--data_dir={tmp}/other"], "no images. Received: 2 other f"),
        (["--network={tmp}/other", "--data_dir={data}"], "no generator .*Received: 2 other files"),
        (["--network={tmp}/run", "--data_dir={data}"], "run: no generator in it; expected netw"),
        (["--network={tmp}/bad.zip", "--data_dir={data}"], "--network=.*bad.zip: damaged or no"),
        (
            ["--network={png}", "--data_dir={data}", "--all_snapshots"],
            "--all_snapshots is",
        ),
        (["--network={samples}", "--data_dir={data}", "--ema_length=0.1"], "--ema_length is for"),
        (["--network={png}", "--data_dir={data}", "--num_images=41"], "at most 40, as"),
        (
            ["--network={png}", "--data_dir={data}", "--resolution=big"],
            "--resolution must",
        ),
        (
            ["--network={generator}", "--data_dir={tmp}/small"],
            "images of 8x8, but .* has 16x16; im",
        ),
        (["--network={tmp}/labelled.keras", "--data_dir={reals}"], "a folder for each class"),
        (["--network={tmp}/wide", "--data_dir={data}"], "images of 24x16, but .*--resolution=16 c"),
        (["--network={tmp}/odd", "--data_dir={data}"], r"b\.png: is not an image.*\(2 such files"),
    ],
)
def test_mistakes_are_reported_in_one_line(places, tmp_path, capsys, arguments, message):
    for name in ("empty", "other", "run", "small", "wide", "odd"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "inner.zip").write_bytes(places["zip"].read_bytes())
    (tmp_path / "other" / "notes.txt").write_text("")
    (tmp_path / "run" / "config.flags").write_text("")
    Image.new("L", (8, 8)).save(tmp_path / "run" / "fakes.png")
    Image.new("L", (8, 8)).save(tmp_path / "small" / "1.png")
    Image.new("L", (24, 16)).save(tmp_path / "wide" / "1.png")
    Image.new("L", (16, 16)).save(tmp_path / "odd" / "a.png")
    (tmp_path / "odd" / "b.png").write_text("text")
    (tmp_path / "odd" / "c.png").write_bytes(b"")
    (tmp_path / "bad.zip").write_bytes(places["zip"].read_bytes()[:1000])
    save_tiny_generator(tmp_path / "labelled.keras", resolution=16, channels=1, label_size=3)
    given = [argument.format(**places, tmp=tmp_path) for argument in arguments]
    capsys.readouterr()
    assert run(places, tmp_path / "out", *given) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pgan-evaluate: error: ")
    assert re.search(message, error), error
    assert not list(tmp_path.rglob("metrics-*"))


def test_results_of_a_folder_lie_beside_it_and_change_with_the_images(places, tmp_path, capsys):
    folder = tmp_path / "samples.v1"
    shutil.copytree(places["png"], folder)
    given = [f"--network={folder}", f"--data_dir={places['data']}", "--metrics=ms_ssim"]
    assert evaluate.main(given) == 0
    path = tmp_path / "metrics-samples.v1.json"
    first = json.loads(path.read_text())
    assert {entry.name for entry in tmp_path.iterdir()} == {folder.name, path.name, "evaluation"}
    assert len(list(folder.iterdir())) == 40
    for inside in (folder, folder / "below"):
        assert evaluate.main([*given, f"--output={inside}"]) == 2
        assert "--output must lie outside of the pictures in " in capsys.readouterr().err
    assert len(list(folder.iterdir())) == 40
    (folder / "bad.png").write_bytes(b"")
    next(folder.glob("*.png")).unlink()
    assert evaluate.main([*given, "--skip_bad_images"]) == 0
    skipped = r"Skipped 1 of 40 files of .*, such as .*bad\.png: is not an image, or damaged\n"
    assert re.search(skipped, capsys.readouterr().out)
    second = json.loads(path.read_text())
    assert second["metrics"] != first["metrics"] and "others" not in second
    assert second["fakes"] == {"kind": "folder", "images": 39, "skipped": 1}
