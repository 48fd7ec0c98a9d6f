import json
import shutil
import sys
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pgan_tf.metrics import differentiable, load_dinov2
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow

SIZES = {"patch_size": 14, "num_layers": 2, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 16}


@pytest.fixture(scope="module")
def backbone():
    """A small network with weights at random, position embeddings included."""
    import keras_hub

    model = keras_hub.models.DINOV2Backbone(
        **SIZES, image_shape=(56, 56, 3), position_embedding_shape=(42, 42, 3)
    )
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 0.8, size=w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def saved(backbone, tmp_path_factory):
    """Both ways in which keras_hub saves it: a folder and a file."""
    directory = tmp_path_factory.mktemp("dinov2")
    backbone.save_to_preset(str(directory / "preset"))
    backbone.save(directory / "dinov2.keras")
    return directory


@pytest.fixture(scope="module")
def extractor(saved):
    return load_dinov2(saved / "preset")


def noise(rng, count=3, side=6):
    return rng.integers(0, 256, [count, side, side, 3]).astype(np.uint8)


def expected(saved, images):
    """The class token by the whole model at 224x224, of images that Pillow has prepared."""
    import keras_hub

    model = keras_hub.models.DINOV2Backbone.from_preset(
        str(saved / "preset"), image_shape=(224, 224, 3)
    )
    prepared = []
    for image in images:
        planes = [Image.fromarray(image[..., c].astype(np.float32)) for c in range(3)]
        planes = [np.asarray(plane.resize((224, 224), Image.BICUBIC)) for plane in planes]
        pixels = np.stack(planes, axis=2).clip(0, 255) / 255
        prepared.append((pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])
    return model.predict({"images": np.stack(prepared).astype(np.float32)}, verbose=0)[:, 0]


def test_features_are_the_class_token_of_prepared_images(extractor, saved, rng):
    images = noise(rng)
    features, logits = extractor(images)
    assert features.shape == (3, 8) and features.dtype == np.float32 and logits is None
    np.testing.assert_allclose(features, expected(saved, images), rtol=1e-3, atol=1e-4)
    assert features.std(axis=0).min() > 1e-3


def test_a_folder_and_a_file_hold_the_same_network(extractor, saved, rng):
    of_file = load_dinov2(saved / "dinov2.keras")
    assert of_file.digest == extractor.digest and of_file.digest.startswith("DINOv2 ")
    assert (of_file.name, extractor.name) == ("DINOv2 (dinov2.keras)", "DINOv2 (preset)")
    images = noise(rng)
    np.testing.assert_allclose(of_file(images).features, extractor(images).features, rtol=1e-5)


def test_other_weights_have_another_digest(extractor, saved, tmp_path):
    changed = shutil.copytree(saved / "preset", tmp_path / "changed")
    with h5py.File(changed / "model.weights.h5", "a") as file:
        file["layers/layer_normalization/vars/1"][0] += 1
    assert load_dinov2(changed).digest != extractor.digest


def test_features_of_tensors_are_the_same_and_have_gradients(extractor, rng):
    images = noise(rng, side=32)
    of_tensor = differentiable(extractor, height=32, width=32)
    tensor = tf.Variable(images, dtype=tf.float32)
    with tf.GradientTape() as tape:
        features = of_tensor(tf.convert_to_tensor(tensor))
        total = tf.reduce_sum(features)
    np.testing.assert_allclose(features, extractor(images).features, rtol=1e-3, atol=1e-4)
    assert np.abs(tape.gradient(total, tensor)).max() > 0


def test_a_network_other_than_the_published_one_is_announced(saved, caplog):
    load_dinov2(saved / "preset")
    assert "preset is not ViT-L/14 without registers" in caplog.text


def test_without_the_library_the_extra_is_named(monkeypatch, saved):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(UserError, match=r"pip install 'pgan_tf\[dinov2\]'"):
        load_dinov2(saved / "preset")


def test_without_network_and_weights_one_line_says_what_to_type(monkeypatch):
    import keras_hub

    def fail(preset, **options):
        raise ConnectionError("HTTPSConnectionPool(host='example')\nmore")

    monkeypatch.setattr(keras_hub.models.DINOV2Backbone, "from_preset", fail)
    with pytest.raises(
        UserError, match="can't be downloaded: ConnectionError: HTTPS.* by --dinov2=PATH"
    ) as raised:
        load_dinov2()
    assert "\n" not in str(raised.value)


def altered(saved, tmp_path, **changes):
    """A preset whose description says something else."""
    copy = shutil.copytree(saved / "preset", tmp_path / "copy")
    described = json.loads((copy / "config.json").read_text())
    described["config"].update({k: v for k, v in changes.items() if k != "class_name"})
    described["class_name"] = changes.get("class_name", described["class_name"])
    (copy / "config.json").write_text(json.dumps(described))
    return copy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_name": "Lambda"}, "it holds Lambda"),
        ({"hidden_dim": 1 << 20}, "its hidden_dim must be from 1 to 8192, not 1048576"),
        ({"hidden_dim": 1024}, "damaged: it claims [0-9]* weights or more, and holds"),
        ({"num_layers": "2"}, "its num_layers must be from 1 to 256, not '2'"),
        ({"num_layers": True}, "its num_layers must be from 1 to 256, not True"),
        ({"num_heads": 3}, "its hidden_dim is no multiple of 3 heads"),
        ({"patch_size": 15}, "224 pixels are not whole patches of 15"),
        ({"position_embedding_shape": [42, 56]}, "its position_embedding_shape is"),
        ({"position_embedding_shape": [1 << 40] * 2}, "its position_embedding_shape is"),
        ({"position_embedding_shape": None}, "its position_embedding_shape is None"),
        ({"num_layers": 1}, "it has [0-9]* weights in place of"),
        ({"intermediate_dim": 8}, "it has [0-9]* weights in place of"),
        ({"image_shape": [0, 0, 3]}, "its image_shape is"),
    ],
)
def test_a_description_is_believed_within_bounds(saved, tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as raised:
        load_dinov2(altered(saved, tmp_path, **changes))
    assert "\n" not in str(raised.value)


def test_files_that_hold_no_network_are_refused(saved, tmp_path):
    (tmp_path / "text.keras").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("other", "")
    damaged = shutil.copytree(saved / "preset", tmp_path / "damaged")
    (damaged / "model.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    linked = shutil.copytree(saved / "preset", tmp_path / "linked")
    with h5py.File(linked / "model.weights.h5", "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    for name in ("text.keras", "empty.keras", "damaged", "linked", "missing", "."):
        with pytest.raises(UserError) as raised:
            load_dinov2(tmp_path / name)
        assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


@pytest.mark.parametrize(
    "images", [np.zeros([0, 8, 8, 3], np.uint8), np.zeros([1, 8, 8, 1], np.uint8), np.ones([2, 3])]
)
def test_images_of_another_kind_are_refused(extractor, images):
    with pytest.raises(UserError, match="takes at least one image"):
        extractor(images)
