"""The notebook in examples/, from top to bottom."""

import io
import os
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "own_images.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs(notebook):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def pictures(cell):
    """Return the images that a cell has shown."""
    found = [out["data"] for out in cell.get("outputs", []) if "data" in out]
    return [
        np.asarray(Image.open(io.BytesIO(b64decode(data["image/png"]))))
        for data in found
        if "image/png" in data
    ]


@pytest.mark.slow
def test_it_runs_from_a_folder_to_pictures(notebook, tmp_path, monkeypatch):
    folder = tmp_path / "my photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(100):
        pixels = rng.integers(0, 256, [20, 30, 3], np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    for name, value in {
        "PGAN_TF_FOLDER": "my photos",
        "PGAN_TF_WORK": "my work",
        "PGAN_TF_RESOLUTION": "16",
        "PGAN_TF_KIMG": "0.064",
        # Its commands are those of this environment, its code that of this checkout.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}})
    client.execute()
    text = "".join(out.get("text", "") for c in notebook.cells for out in c.get("outputs", []))
    assert "Wrote 100 images, 16x16 RGB" in text
    assert "320 images seen" in text and "384 images seen" in text
    assert "swd" in text
    assert "error" not in text.lower()
    shown = [picture for cell in notebook.cells for picture in pictures(cell)]
    reals, fakes, new, moved, found = shown
    assert reals.std() > 20 and fakes.std() > 2
    assert new.shape == (4 * 32, 8 * 32, 3) and new.std() > 2
    assert moved.shape == (3 * 32, 7 * 32, 3)
    assert found.std() > 2
    assert (tmp_path / "my work" / "generator.keras").is_file()
