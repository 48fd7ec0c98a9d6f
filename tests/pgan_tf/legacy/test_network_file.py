"""Reading network files of the original, and refusing all others by name."""

import os
import pickle
import sys
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from pgan_tf.legacy import read_networks
from tests.helpers.network_files import (
    GRAY_LABELS,
    PYTHON_2,
    golden_states,
    tf_state,
    write_network_file,
)
from tfrecords_tools.errors import UserError


def refused(path):
    with pytest.raises(UserError, match=f"^{path}: ") as caught:
        read_networks(path)
    return str(caught.value)


class Attack:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("place", ["name", "static_kwargs", "build_module_src", "variables"])
def test_code_anywhere_in_a_network_is_refused_and_not_run(tmp_path, monkeypatch, place, protocol):
    monkeypatch.chdir(tmp_path)
    attack = Attack(os.system, ("touch owned",))
    states = golden_states()
    states[1][place] = {"variables": [("lod", attack)]}.get(place, attack)
    path = write_network_file(tmp_path / "n.pkl", states, protocol=protocol)
    assert "nothing in it was run. Received: posix.system" in refused(path)
    assert os.listdir() == ["n.pkl"]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("dnnlib.tflib.network", "Network"),
        ("torch_utils.persistence", "_reconstruct_persistent_obj"),
        ("training.networks_stylegan2", "Generator"),
    ],
)
def test_networks_of_stylegan_are_called_by_their_name(tmp_path, module, name):
    path = tmp_path / "stylegan.pkl"
    path.write_bytes(b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")\x81}b.")
    message = refused(path)
    assert "networks of StyleGAN or a program like it, not of Progressive GAN" in message
    assert message.endswith(f"Received: {module}.{name}")


def test_a_network_class_of_another_name_is_refused(tmp_path, monkeypatch):
    path = write_network_file(tmp_path / "n.pkl", golden_states(), module="other")
    assert "Received: other.Network" in refused(path)


def test_pytorchs_files_are_refused(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert "a zip archive, such as PyTorch and Keras write; expected" in refused(path)
    path.write_bytes(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.")
    assert "Received: torch._utils._rebuild_tensor_v2" in refused(path)


@pytest.mark.parametrize(
    ("content", "received"),
    [
        ([], "nothing"),
        ((None, None), "nothing"),
        ({"G": 1}, "dict"),
        (np.zeros(3), "an array"),
        ("text", "str"),
        (([],), "list"),
    ],
)
def test_pickles_of_something_else_are_refused(tmp_path, content, received):
    path = tmp_path / "n.pkl"
    path.write_bytes(pickle.dumps(content))
    message = refused(path)
    assert "expected networks of the original, (G, D, Gs) or one of them" in message
    assert message.endswith(f"Received: {received}")


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_truncated_file_is_refused(tmp_path, protocol):
    path = write_network_file(tmp_path / "n.pkl", golden_states(), protocol=protocol)
    data = path.read_bytes()
    for length in (0, 1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        assert "damaged or no pickle" in refused(path)


@pytest.fixture(scope="module")
def damaged_file(tmp_path_factory):
    """Return the path of a file to damage, and its content by protocol."""
    path = tmp_path_factory.mktemp("damaged") / "n.pkl"
    states = golden_states("networks_8_gray_labels.npz", GRAY_LABELS)
    contents = {
        protocol: write_network_file(path, states, protocol=protocol).read_bytes()
        for protocol in (PYTHON_2, 0, 2, 4, 5)
    }
    return path, contents


@hypothesis.given(
    protocol=st.sampled_from([PYTHON_2, 0, 2, 4, 5]),
    # Most operations are at the start, or right before the end.
    places=st.lists(st.integers(-1000, 2000), min_size=1, max_size=8),
    replacement=st.binary(max_size=8),
    removed=st.integers(0, 8),
)
@hypothesis.settings(max_examples=300)
def test_a_damaged_file_is_read_or_refused_but_never_a_fault(
    damaged_file, protocol, places, replacement, removed
):
    path, contents = damaged_file
    data = bytearray(contents[protocol])
    for place in places:
        start = place % len(data)
        data[start : start + removed] = replacement
    path.write_bytes(data)
    try:
        networks = read_networks(path)
    except UserError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert networks.ema_generator or networks.generator or networks.discriminator


def test_text_and_missing_files_and_directories_are_refused(tmp_path):
    path = tmp_path / "n.pkl"
    assert refused(path).endswith("no such file")
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "damaged or no pickle" in refused(path)
    assert refused(tmp_path).endswith("not a file")


def test_more_networks_than_there_can_be_are_refused(tmp_path):
    states = golden_states()
    path = write_network_file(tmp_path / "n.pkl", [*states, states[0]])
    assert "at most (G, D, Gs). Received: G, D, Gs, G" in refused(path)
    path = write_network_file(tmp_path / "n.pkl", [states[1], states[1]])
    assert "at most (G, D, Gs). Received: D, D" in refused(path)


def test_a_network_without_state_is_refused(tmp_path):
    path = tmp_path / "n.pkl"
    path.write_bytes(b"\x80\x02ctfutil\nNetwork\n)\x81.")
    assert "a network without version" in refused(path)


def test_the_modules_named_in_a_file_are_not_imported(tmp_path):
    (tmp_path / "tfutil.py").write_text("raise RuntimeError('imported')")
    path = write_network_file(tmp_path / "n.pkl", [tf_state("G", {}, {})])
    sys.path.insert(0, str(tmp_path))
    try:
        assert "4x4/Dense/weight" in refused(path)
    finally:
        sys.path.remove(str(tmp_path))
    assert "tfutil" not in sys.modules
