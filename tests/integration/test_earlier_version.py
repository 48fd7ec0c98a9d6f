"""Files that an earlier version saved keep loading (tests/fixtures/earlier_version/README.md)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import pgan_tf
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

EARLIER = Path(__file__).parents[1] / "fixtures" / "earlier_version"
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from pgan_tf.cli.train import main; sys.exit(main())",
]


@pytest.fixture(scope="module")
def expected():
    """Latents, labels, and the images that the earlier version made of them."""
    with np.load(EARLIER / "expected.npz") as archive:
        return dict(archive)


def images_of(path, expected):
    generator = pgan_tf.load_generator(path)
    return np.asarray(generator([expected["latents"], expected["labels"]]))


def continued(run, pyramid, directory):
    """Copies a run and continues it to its end."""
    path = Path(shutil.copytree(EARLIER / run, directory / run))
    flags = [
        f"--flagfile={path / 'config.flags'}",
        f"--data_dir={EARLIER / pyramid}",
        f"--run_dir={path}",
    ]
    result = subprocess.run(
        [*COMMAND, *flags], capture_output=True, text=True, timeout=300, env={**os.environ}
    )
    assert result.returncode == 0, result.stderr
    return path, result.stdout


@pytest.mark.parametrize(
    ("file", "name", "tolerance"),
    [
        ("run/networks/generator-000000.096.keras", "images_096", 1e-5),
        ("run", "images_096", 1e-5),
        ("run_options/networks/generator-000000.128.keras", "images_options", 2e-3),
    ],
)
def test_saved_generators_give_the_same_images(expected, file, name, tolerance):
    images = images_of(EARLIER / file, expected)
    np.testing.assert_allclose(images, expected[name], atol=tolerance)


def test_a_run_goes_on_from_its_checkpoint_to_the_same_end(expected, tmp_path):
    path, output = continued("run", "pyramid", tmp_path)
    assert "continuing at 0.1 of 0.192 kimg" in output
    assert (path / "networks" / "generator-000000.192.keras").exists()
    np.testing.assert_allclose(images_of(path, expected), expected["images_192"], atol=1e-3)


def test_a_run_with_every_kind_of_variable_goes_on_to_the_same_end(expected, tmp_path):
    path, output = continued("run_options", "pyramid_png", tmp_path)
    assert "mixed_float16; continuing at 0.1 of 0.128 kimg" in output
    np.testing.assert_allclose(images_of(path, expected), expected["images_options"], atol=2e-2)


def test_an_exported_file_gives_the_same_images(expected):
    exported = keras.saving.load_model(EARLIER / "exported" / "generator.keras", compile=False)
    images = np.asarray(exported([expected["latents"], expected["labels"]]))
    np.testing.assert_allclose(images, expected["images_192"], atol=1e-5)


def test_an_imported_discriminator_gives_the_same_scores():
    path = EARLIER / "imported" / "discriminator.keras"
    discriminator = keras.saving.load_model(path, compile=False)
    images = np.linspace(-1, 1, 2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3)
    images[1] = np.flip(images[0], axis=1) ** 2
    scores, logits = discriminator(images)
    np.testing.assert_allclose(scores, [1.545532, 1.595621], rtol=1e-4)
    np.testing.assert_allclose(logits, [[0.524272, 2.149130], [0.060068, 1.924893]], rtol=1e-4)


def test_pyramids_of_both_encodings_hold_the_same_images():
    raw, png = (open_pyramid(EARLIER / name) for name in ("pyramid", "pyramid_png"))
    assert (raw.count, raw.channels, raw.resolution, raw.label_size) == (48, 3, 8, 5)
    for side in (4, 8):
        images = raw.level(side).read(np.arange(48))
        assert images.std() > 10
        np.testing.assert_array_equal(images, png.level(side).read(np.arange(48)))
