"""The scripts in examples/, run as a reader would."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pgan_tf.runs.grids import to_uint8
from tests.helpers.generators import save_tiny_generator
from tfrecords_tools.shape import Base

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(directory, name, *arguments):
    """Return the output of a script, run in a directory of its own."""
    result = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_examples_are_scripts_in_cells_and_short(path):
    text = path.read_text()
    assert text.startswith("# %% [markdown]\n# # ")
    assert text.count("# %%\n") >= 3
    assert len(text.splitlines()) < 100


def test_training_on_shapes_ends_with_a_grid_of_every_class(tmp_path):
    printed = run(tmp_path, "train_on_shapes.py")
    assert "800 images seen" in printed
    grid = np.asarray(Image.open(tmp_path / "shapes_example" / "shapes.png"))
    assert grid.shape == (320, 512, 3)
    assert grid.std() > 10


def test_latents_of_a_transparent_rectangle_are_looked_for(tmp_path):
    options = {"base": Base(height=6, width=4)}
    save_tiny_generator(tmp_path / "g.keras", channels=4, options=options)
    Image.new("RGB", (30, 50), (200, 100, 50)).save(tmp_path / "target.png")
    run(tmp_path, "find_latents.py", tmp_path / "g.keras", "target.png", 2)
    with Image.open(tmp_path / "found.png") as found:
        assert (found.size, found.mode) == ((2 * 8 * 21, 12 * 21), "RGBA")
        assert found.getpixel((0, 0)) == (200, 100, 50, 255)


def test_a_target_of_16_bits_keeps_its_shades(tmp_path):
    save_tiny_generator(tmp_path / "g.keras", channels=1)
    Image.fromarray(np.full([8, 8], 100 * 257, np.uint16)).save(tmp_path / "target.png")
    run(tmp_path, "find_latents.py", tmp_path / "g.keras", "target.png", 2)
    with Image.open(tmp_path / "found.png") as found:
        assert (found.size, found.getpixel((0, 0))) == ((512, 256), 100)


@pytest.mark.parametrize("label_size", [0, 3])
def test_latents_of_an_image_are_found(tmp_path, label_size):
    model = save_tiny_generator(tmp_path / "g.keras", resolution=16, label_size=label_size)
    printed = run(tmp_path, "find_latents.py", tmp_path / "g.keras", "", 150, 1)
    before, after = (float(value) for value in re.findall(r"([\d.]+) at best", printed))
    assert after < before / 4
    latents = np.load(tmp_path / "found.npy")
    inputs = [latents, np.eye(3, dtype=np.float32)[1:2]] if label_size else latents
    found = to_uint8(model(inputs))[0]
    best = np.asarray(Image.open(tmp_path / "found.png"))[:256, 256:][::16, ::16]
    assert np.abs(best.astype(int) - found).max() <= 1
    assert ("--classes=1 draws it again" in printed) == bool(label_size)
