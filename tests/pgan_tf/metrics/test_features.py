import sys
import textwrap

import numpy as np
import pytest

from pgan_tf.metrics import load_features
from tfrecords_tools.errors import UserError

IMAGES = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Writes a module into a directory that Python searches."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = []

    def write(text, name="own_features"):
        (tmp_path / f"{name}.py").write_text("import numpy as np\n" + textwrap.dedent(text))
        sys.modules.pop(name, None)
        names.append(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)


def test_a_function_of_a_module_gives_features(write_module):
    write_module("def extract(images): return images.reshape(len(images), -1)[:, :5]")
    extract = load_features("own_features:extract")
    assert extract.name == "own_features:extract"
    features, logits = extract(IMAGES)
    np.testing.assert_array_equal(features, IMAGES.reshape(4, -1)[:, :5].astype(np.float32))
    assert features.dtype == np.float32
    assert logits is None


def test_a_module_of_the_current_directory_is_not_imported_unless_its_file_is_named(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "features_here.py").write_text(
        "print('executed')\ndef extract(images): return images.reshape(len(images), -1)\n"
    )
    with pytest.raises(UserError, match=r"a file is given by its name, as FILE\.py:function"):
        load_features("features_here:extract")
    before = list(sys.path)
    for reference in ("features_here.py:extract", f"{tmp_path}/features_here.py:extract"):
        features = load_features(reference)(IMAGES).features
        np.testing.assert_array_equal(features, IMAGES.reshape(4, -1).astype(np.float32))
    assert sys.path == before
    assert "features_here" not in sys.modules


def test_a_pair_is_features_and_logits(write_module):
    write_module(
        "def extract(images): return np.ones([len(images), 2]), np.zeros([len(images), 3])"
    )
    features, logits = load_features("own_features:extract")(IMAGES)
    assert features.shape == (4, 2)
    assert logits.shape == (4, 3)


def test_tensors_are_taken_as_arrays(write_module):
    write_module("""
        import tensorflow as tf
        def extract(images): return tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])
    """)
    features = load_features("own_features:extract")(IMAGES).features
    np.testing.assert_allclose(features, IMAGES.mean((1, 2)), rtol=1e-6)


def test_the_digest_follows_the_module_text_or_what_the_function_says(write_module):
    write_module("def extract(images): return images")
    first = load_features("own_features:extract").digest
    assert load_features("own_features:extract").digest == first
    write_module("def extract(images): return images / 2")
    assert load_features("own_features:extract").digest != first
    digests = set()
    for text in ("extract.digest = '1'", "extract.digest = '1'  # edited", "extract.digest = '2'"):
        write_module(f"def extract(images): return images\n{text}")
        digests.add(load_features("own_features:extract").digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("np.zeros([3, 2])", r"the features of 4 images .* Received: \[3, 2\]"),
        ("np.zeros([4])", r"shape \[4, number of features\]. Received: \[4\]"),
        ("np.zeros([4, 0])", r"Received: \[4, 0\]"),
        ("np.zeros([4, 2, 2])", r"Received: \[4, 2, 2\]"),
        ("np.full([4, 2], np.nan)", "must be finite. Received: NaN or infinity in 8 of 8 values"),
        ("None", r"Received: \[\]"),
        ("(np.zeros([4, 2]),)", "or a pair of features and logits. Received: a tuple of 1"),
        ("'text'", "must be an array of numbers"),
        ("(np.zeros([4, 2]), np.zeros([4]))", r"the logits of 4 images .* Received: \[4\]"),
        ("(np.zeros([4, 2]), np.full([4, 2], np.inf))", "the logits must be finite"),
    ],
)
def test_output_that_is_not_features_is_refused(write_module, body, message):
    write_module(f"def extract(images): return {body}")
    with pytest.raises(UserError, match=message) as caught:
        load_features("own_features:extract")(IMAGES)
    assert "own_features:extract" in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("own_features", "given as module:function.* Received: own_features"),
        (".own_features:extract", "given as module:function"),
        ("no/such/file.py:extract", "no such file: no/such/file.py"),
        (":extract", "given as module:function"),
        ("own_features:", "given as module:function"),
        ("no_such_module:extract", "no module no_such_module is installed or on"),
        ("own_features.inner:extract", "no module own_features.inner"),
        ("own_features:other", "own_features has no function other .*own_features.py"),
        ("own_features:NUMBER", "has no function NUMBER"),
    ],
)
def test_a_reference_without_a_function_is_refused(write_module, reference, message):
    write_module("NUMBER = 3\ndef extract(images): return images")
    with pytest.raises(UserError, match=message):
        load_features(reference)


def test_an_import_error_within_a_module_keeps_its_traceback(write_module):
    write_module("import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load_features("own_features:extract")
