import hashlib
import logging

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.metrics import inception_file, load_inception
from pgan_tf.metrics.inception import InceptionExtractor
from tests.helpers.small_inception import CLASSES, WIDTH, SmallInception, archive
from tfrecords_tools.errors import UserError

SMALL = SmallInception()


@pytest.fixture(scope="module")
def content():
    return SMALL.serialized()


@pytest.fixture
def graph_path(tmp_path, content):
    path = tmp_path / "small.pb"
    path.write_bytes(content)
    return path


def random_images(rng, count, height, width):
    return rng.integers(0, 256, [count, height, width, 3]).astype(np.uint8)


@pytest.mark.parametrize("size", [(32, 32), (17, 17), (8, 8), (24, 40)])
def test_features_and_logits_are_those_of_numpy(graph_path, rng, size):
    images = random_images(rng, 5, *size)
    features, logits = load_inception(graph_path)(images)
    assert features.shape == (5, WIDTH)
    assert logits.shape == (5, CLASSES)
    assert features.dtype == logits.dtype == np.float32
    np.testing.assert_allclose(features, SMALL.features(images), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, SMALL.logits(images), rtol=1e-4, atol=1e-5)
    assert features.std(axis=0).min() > 0


def test_the_graph_as_it_was_saved_gives_the_same_image_by_image(graph_path, content, rng):
    images = random_images(rng, 3, 20, 20)
    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.import_graph_def(tf.compat.v1.GraphDef.FromString(content), name="")
    assert graph.get_tensor_by_name("ExpandDims:0").shape[0] == 1
    with tf.compat.v1.Session(graph=graph) as session:
        outputs = ["pool_3/_reshape:0", "softmax/logits:0"]
        one_by_one = [
            session.run(outputs, {"ExpandDims:0": image[None].astype(np.float32)})
            for image in images
        ]
    features, logits = load_inception(graph_path)(images)
    np.testing.assert_allclose(features, [f[0] for f, _ in one_by_one], rtol=1e-5, atol=1e-6)
    with_bias = [scores[0] for _, scores in one_by_one]
    np.testing.assert_allclose(logits + SMALL.bias, with_bias, rtol=1e-5, atol=1e-5)


def test_an_archive_gives_what_its_graph_gives(tmp_path, graph_path, content, rng):
    # Its name doesn't matter.
    path = tmp_path / "archive.bin"
    path.write_bytes(archive(content))
    images = random_images(rng, 2, 16, 16)
    packed, plain = load_inception(path), load_inception(graph_path)
    np.testing.assert_array_equal(packed(images).features, plain(images).features)
    assert packed.digest == plain.digest == hashlib.sha256(content).hexdigest()


def test_batches_of_any_size_give_the_same(graph_path, rng):
    images = random_images(rng, 7, 16, 16)
    whole = load_inception(graph_path)(images)
    graph_file = inception_file.read_graph(graph_path)
    parts = InceptionExtractor(graph_file, batch_size=3)(images)
    np.testing.assert_allclose(parts.features, whole.features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts.logits, whole.logits, rtol=1e-5, atol=1e-5)


def test_a_graph_other_than_the_published_one_is_recognized(
    graph_path, content, monkeypatch, caplog
):
    with caplog.at_level(logging.WARNING, "absl"):
        assert load_inception(graph_path).name == "small.pb"
    assert "not the published Inception graph" in caplog.text
    caplog.clear()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(inception_file, "GRAPH_SHA256", digest)
    with caplog.at_level(logging.WARNING, "absl"):
        assert load_inception(graph_path).name == "Inception (2015-12-05)"
    assert not caplog.records


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros([2, 8, 8, 1], np.uint8), r"Received: \[2, 8, 8, 1\] uint8"),
        (np.zeros([2, 3, 8, 8], np.uint8), r"Received: \[2, 3, 8, 8\] uint8"),
        (np.zeros([2, 8, 8, 3], np.float32), r"Received: \[2, 8, 8, 3\] float32"),
        (np.zeros([8, 8, 3], np.uint8), r"Received: \[8, 8, 3\] uint8"),
        (np.zeros([0, 8, 8, 3], np.uint8), "at least one image"),
    ],
)
def test_images_of_another_shape_or_type_are_refused(graph_path, images, message):
    with pytest.raises(UserError, match=message):
        load_inception(graph_path)(images)


def without(name):
    graph_def = SMALL.graph_def()
    kept = [node for node in graph_def.node if node.name != name]
    del graph_def.node[:]
    graph_def.node.extend(kept)
    return graph_def.SerializeToString()


def broken_files():
    whole = SMALL.serialized()
    yield "empty.pb", b"", "no pool_3 among its 0 nodes"
    yield "text.pb", b"not a graph at all", "damaged, or not the Inception graph"
    yield "cut.pb", whole[:-100], "damaged, or not the Inception graph"
    yield "other.pb", without("pool_3"), "no pool_3"
    yield "no_softmax.pb", without("softmax/logits/MatMul"), "no softmax/logits/MatMul"
    yield "no_weights.pb", without("softmax/weights"), "softmax/weights"
    yield "no_kernel.pb", without("conv/conv2d_params"), "conv/conv2d_params"
    yield "no_images.pb", without("ResizeBilinear"), "damaged, or not the Inception graph"
    yield "empty.tgz", b"\x1f\x8b", "damaged, or no .tgz archive"
    yield "cut.tgz", archive(whole)[:-2000], "damaged, or no .tgz archive"
    flipped = bytearray(archive(whole))
    flipped[len(flipped) // 2] ^= 0xFF
    yield "flipped.tgz", bytes(flipped), "damaged"
    yield "other.tgz", archive(whole, name="other.pb"), "no classify_image_graph_def.pb in this"
    yield "text.tgz", archive(b"not a graph"), "damaged, or not the Inception graph"


@pytest.mark.parametrize(
    ("name", "data", "message"), [pytest.param(*case, id=case[0]) for case in broken_files()]
)
def test_damaged_files_are_refused(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        load_inception(tmp_path / name)
    assert name in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


def test_a_graph_that_computes_nan_is_called_damaged(tmp_path, rng):
    sick = SmallInception()
    sick.mean[0] = np.nan
    (tmp_path / "sick.pb").write_bytes(sick.serialized())
    with pytest.raises(UserError, match="damaged, .*: conv/batchnorm : Tensor had NaN values$"):
        load_inception(tmp_path / "sick.pb")(random_images(rng, 2, 8, 8))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent.tgz: no such file; expected"):
        load_inception(tmp_path / "absent.tgz")
    with pytest.raises(UserError, match="a directory; expected inception-2015-12-05.tgz"):
        load_inception(tmp_path)


def with_operation(name, change):
    """The small graph with another operation in place of its node `name`."""
    graph = SMALL.graph_def()
    (node,) = (node for node in graph.node if node.name == name)
    change(node, graph)
    return graph.SerializeToString()


def write_file(node, graph):
    """WriteFile before the node, which waits for it."""
    for i, name in enumerate(("file", "content")):
        constant = graph.node.add(name=name, op="Const")
        constant.attr["dtype"].type = tf.string.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(["written", "words"][i]))
    graph.node.add(name="writes", op="WriteFile", input=["file", "content"])
    node.input.append("^writes")


def read_file(node, graph):
    node.op = "ReadFile"


def call_python(node, graph):
    node.op = "PyFunc"


def large_constant(node, graph):
    del node.attr["value"].tensor.tensor_shape.dim[:]
    for _ in range(4):
        node.attr["value"].tensor.tensor_shape.dim.add(size=1 << 15)
    node.attr["value"].tensor.tensor_content = b""
    node.attr["value"].tensor.float_val.append(1.0)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("conv", write_file, "not executed: .* Received: 'WriteFile'"),
        ("conv", read_file, "not executed: .* Received: 'ReadFile'"),
        ("mixed/conv", call_python, "not executed: .* Received: 'PyFunc'"),
        ("conv/conv2d_params", large_constant, "its constants are more than"),
    ],
)
def test_a_graph_of_a_stranger_only_computes(tmp_path, monkeypatch, name, change, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "strange.pb"
    path.write_bytes(with_operation(name, change))
    with pytest.raises(UserError, match=message):
        load_inception(path)
    assert [file.name for file in tmp_path.iterdir()] == ["strange.pb"]


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inception_file, "_MAX_BYTES", 1 << 20)
    path = tmp_path / "bomb.tgz"
    path.write_bytes(archive(bytes(1 << 21)))
    with pytest.raises(UserError, match="unpacks to more than 1048576 bytes"):
        load_inception(path)
