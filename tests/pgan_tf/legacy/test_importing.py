"""Imported networks compute what the original computed."""

import json

import keras
import numpy as np
import pytest

import pgan_tf
from pgan_tf.legacy.importing import import_networks
from pgan_tf.runs.run_directory import read_config
from pgan_tf.runs.saved_generator import describe_generator
from tests.helpers.network_files import (
    GOLDEN,
    GRAY_LABELS,
    RGB,
    golden_states,
    golden_variables,
    tf_state,
    write_network_file,
)
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow

CASES = [("networks_16_rgb.npz", RGB), ("networks_8_gray_labels.npz", GRAY_LABELS)]


def import_states(tmp_path, states, **changes):
    path = write_network_file(tmp_path / "network.pkl", states, **changes)
    return import_networks(path, tmp_path / "imported"), tmp_path / "imported"


@pytest.mark.parametrize(("file", "options"), CASES)
@pytest.mark.parametrize("lod", ["0.00", "1.00"])
def test_images_scores_and_logits_equal_the_originals(tmp_path, file, options, lod):
    imported, output = import_states(tmp_path, golden_states(file, options, lod=float(lod)))
    assert imported.version == "TensorFlow"
    golden = np.load(GOLDEN / file)
    model = pgan_tf.load_generator(output)
    side = options["resolution"] >> int(float(lod))
    inputs = [golden["latents"], golden["labels"]] if options["label_size"] else golden["latents"]
    images = model(inputs).numpy()
    assert images.shape == (8, side, side, options["num_channels"])
    expected = golden[f"lod={lod}/images"][:, :, :: 2 ** int(float(lod)), :: 2 ** int(float(lod))]
    np.testing.assert_allclose(images.transpose(0, 3, 1, 2), expected, rtol=1e-4, atol=1e-5)

    discriminator = keras.saving.load_model(output / "discriminator.keras")
    outputs = discriminator(images)
    scores = outputs[0] if options["label_size"] else outputs
    expected = golden[f"lod={lod}/fake_scores"]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    if options["label_size"]:
        expected = golden[f"lod={lod}/fake_logits"]
        np.testing.assert_allclose(outputs[1], expected, rtol=1e-4, atol=1e-5)


def test_networks_saved_while_they_faded_in_are_fixed_at_that_alpha(tmp_path):
    imported, output = import_states(tmp_path, golden_states(lod=0.5))
    assert (imported.resolution, imported.alpha) == (16, 0.5)
    golden = np.load(GOLDEN / "networks_16_rgb.npz")
    images = pgan_tf.load_generator(output)(golden["latents"]).numpy()
    expected = golden["lod=0.50/images"]
    np.testing.assert_allclose(images.transpose(0, 3, 1, 2), expected, rtol=1e-4, atol=1e-5)
    scores = keras.saving.load_model(output / "discriminator.keras")(images)
    np.testing.assert_allclose(scores, golden["lod=0.50/fake_scores"], rtol=1e-4, atol=1e-5)


def test_an_import_writes_the_average_the_raw_networks_and_a_run(tmp_path):
    imported, output = import_states(tmp_path, golden_states())
    assert sorted(path.name for path in output.iterdir()) == [
        "checkpoints",
        "config.flags",
        "discriminator.keras",
        "generator-raw.keras",
        "generator.keras",
    ]
    assert [p.name for p in tmp_path.glob(".*")] == []
    assert imported.files == {
        "generator.keras": "Gs",
        "generator-raw.keras": "G",
        "discriminator.keras": "D",
    }
    average = keras.saving.load_model(output / "generator.keras")
    raw = keras.saving.load_model(output / "generator-raw.keras")
    for ours, theirs in zip(raw.weights, average.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs / 2)
    config = read_config(output)
    assert (config.network.resolution, config.network.fmap_base) == (16, 64)
    assert (config.network.fmap_max, config.network.resolved_latent_size) == (16, 16)
    assert config.schedule.start_resolution == 16
    assert sorted(path.name for path in (output / "checkpoints").iterdir()) == [
        "state-000000000.data-00000-of-00001",
        "state-000000000.index",
    ]
    description = describe_generator(output)
    assert description["imported_from"] == "network.pkl"
    assert (description["resolution"], description["original_name"]) == (16, "Gs")
    json.dumps(description)


def test_the_run_of_a_network_saved_at_a_lower_resolution_begins_there(tmp_path):
    _, output = import_states(tmp_path, golden_states(lod=1.0))
    config = read_config(output)
    assert (config.schedule.start_resolution, config.network.resolution) == (8, 16)


@pytest.mark.parametrize("names", [["Gs"], ["G"], ["G", "Gs"]])
def test_without_a_discriminator_there_is_no_run(tmp_path, names):
    states = [state for state in golden_states() if state["name"] in names]
    imported, output = import_states(tmp_path, states)
    assert imported.no_run == "the file has no discriminator"
    assert sorted(path.name for path in output.iterdir()) == [
        "generator-raw.keras",
        "generator.keras",
    ]
    assert imported.files["generator.keras"] == names[-1]


def test_networks_of_different_shapes_are_imported_without_a_run(tmp_path):
    generator, _, average = golden_states()
    discriminator = golden_states("networks_8_gray_labels.npz", GRAY_LABELS)[1]
    imported, output = import_states(tmp_path, [generator, discriminator, average])
    assert imported.no_run == "Gs and D differ in resolution: 16 and 8"
    assert not (output / "config.flags").exists()
    assert (output / "discriminator.keras").exists()


def test_a_file_without_a_generator_is_refused(tmp_path):
    path = write_network_file(tmp_path / "network.pkl", [golden_states()[1]])
    with pytest.raises(UserError, match="network.pkl: no generator in it. Received: D"):
        import_networks(path, tmp_path / "imported")
    assert not (tmp_path / "imported").exists()


def test_a_failed_import_leaves_nothing(tmp_path, monkeypatch):
    path = write_network_file(tmp_path / "network.pkl", golden_states())
    monkeypatch.setattr("pgan_tf.legacy.importing.Checkpoints.save", _fail)
    with pytest.raises(OSError, match="No space"):
        import_networks(path, tmp_path / "new" / "imported")
    assert [p.name for p in tmp_path.iterdir()] == ["network.pkl"]


def _fail(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_an_output_that_exists_is_replaced_only_on_demand_and_only_if_imported(tmp_path):
    states = [tf_state("Gs", golden_variables("networks_16_rgb.npz", "G"), RGB)]
    path = write_network_file(tmp_path / "network.pkl", states)
    output = tmp_path / "imported"
    import_networks(path, output)
    with pytest.raises(UserError, match="imported: exists already; --overwrite replaces it"):
        import_networks(path, output)
    (output / "generator-raw.keras").unlink()
    import_networks(path, output, overwrite=True)
    assert (output / "generator-raw.keras").exists()
    (output / "metrics.jsonl").touch()
    with pytest.raises(UserError, match=r"never replaced.* Received: one with metrics\.jsonl"):
        import_networks(path, output, overwrite=True)
    assert (output / "generator.keras").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.flags", "--run_dir=x\n# Trained on: 6 images\n"),
        ("checkpoints/thesis.tex", ""),
        ("checkpoints/state-000000016.index", ""),
        ("generator.keras/thesis.tex", ""),
    ],
)
def test_a_run_and_files_of_others_are_never_replaced_by_an_import(tmp_path, name, text):
    states = [tf_state("Gs", golden_variables("networks_16_rgb.npz", "G"), RGB)]
    path = write_network_file(tmp_path / "network.pkl", states)
    file = tmp_path / "imported" / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(UserError, match="never replaced"):
        import_networks(path, tmp_path / "imported", overwrite=True)
    assert file.read_text() == text


def test_a_name_with_a_line_end_adds_no_flag_to_an_import(tmp_path):
    states = [
        tf_state("G", golden_variables("networks_16_rgb.npz", "G"), RGB),
        tf_state("D", golden_variables("networks_16_rgb.npz", "D"), RGB),
        tf_state("Gs", golden_variables("networks_16_rgb.npz", "G"), RGB),
    ]
    path = write_network_file(tmp_path / "a\n--seed=7\udcff.pkl", states)
    import_networks(path, tmp_path / "imported")
    text = (tmp_path / "imported" / "config.flags").read_text()
    assert text.endswith("# Imported from a\\x0a--seed=7\\xff.pkl\n")
    import_networks(path, tmp_path / "imported", overwrite=True)
