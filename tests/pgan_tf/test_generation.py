import numpy as np
import pytest
from PIL import Image

from pgan_tf.config import NetworkConfig
from pgan_tf.generation import generate_pngs
from pgan_tf.networks import Generator
from pgan_tf.sampling import draw_latents, to_uint8
from pgan_tf.saved_generator import as_keras_model, save_generator


def save(path, label_size, **description):
    config = NetworkConfig(resolution=8, fmap_base=32, fmap_max=8, label_size=label_size)
    model = as_keras_model(Generator(config, seed=3), resolution=8, alpha=None)
    save_generator(path, model, description)
    return model


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_an_unconditional_generator_needs_no_labels(tmp_path):
    model = save(tmp_path / "g.keras", 0)
    assert generate_pngs(tmp_path / "g.keras", tmp_path / "out", num_images=5, seed=1) == 5
    expected = to_uint8(model(draw_latents(5, 8, seed=1)))
    for i in range(5):
        assert np.abs(pixels(tmp_path / "out" / f"00000{i}.png") - expected[i]).max() <= 1
    assert Image.open(tmp_path / "out" / "grid.png").size == (24, 16)


def test_labels_that_are_no_classes_are_those_of_real_images_in_turn(tmp_path):
    rows = [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    model = save(tmp_path / "g.keras", 3, label_rows=rows)
    generate_pngs(tmp_path / "g.keras", tmp_path / "out", num_images=3, seed=1)
    labels = np.array([rows[0], rows[1], rows[0]], np.float32)
    expected = to_uint8(model([draw_latents(3, 8, seed=1), labels]))
    for i in range(3):
        assert np.abs(pixels(tmp_path / "out" / f"00000{i}.png") - expected[i]).max() <= 1


@pytest.mark.parametrize("classes", [["dog"], ["1"]])
def test_classes_are_chosen_by_name_or_number(tmp_path, classes):
    model = save(tmp_path / "g.keras", 2, label_names=["a/cat", "dog"])
    generate_pngs(tmp_path / "g.keras", tmp_path / "out", num_images=2, seed=1, classes=classes)
    labels = np.array([[0.0, 1.0]] * 2, np.float32)
    expected = to_uint8(model([draw_latents(2, 8, seed=1), labels]))
    assert np.abs(pixels(tmp_path / "out" / "000001-dog.png") - expected[1]).max() <= 1


def test_a_class_name_can_not_climb_out_of_the_output(tmp_path):
    save(tmp_path / "g.keras", 2, label_names=["../cat", "dog"])
    generate_pngs(tmp_path / "g.keras", tmp_path / "out", num_images=1, seed=1, grid=False)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["000000-.._cat.png"]
