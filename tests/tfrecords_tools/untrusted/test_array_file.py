import contextlib
import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.array_file import (
    load_array,
    map_array,
    open_arrays,
    parse_header,
    view_array,
)


def saved(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def with_header(header):
    """A file of version 1.0 with this text as its header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3, 4)])
def test_arrays_are_those_that_were_saved(tmp_path, shape, order):
    array = np.asarray(np.random.default_rng(3).normal(size=shape), np.float32, order=order)
    np.save(tmp_path / "x.npy", array)
    for read in (load_array, map_array):
        result = read(tmp_path / "x.npy")
        np.testing.assert_array_equal(result, array)
        assert result.dtype == array.dtype
    view = view_array(np.frombuffer(saved(array), np.uint8))
    np.testing.assert_array_equal(view, array)


DAMAGED = {
    "empty": b"",
    "text": b"no array, and more of it",
    "cut": saved(np.zeros(100))[:-1],
    "objects": saved(np.array([{}], object)),
    "many": with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,)}"),
    "negative": with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}"),
    "long": with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1" * 9000 + ",)}"),
    "large type": with_header("{'descr': '|V2000000000', 'fortran_order': False, 'shape': (9,)}"),
    "deep": with_header("(" * 9000),
    "token": with_header("{'descr': '''"),
    "minus": with_header("-" * 9000 + "1"),
    "null": with_header("\0"),
    "version 3": b"\x93NUMPY\x03" + saved(np.zeros(3))[7:],
    "archive": b"PK\x03\x04 and more",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, name):
    (tmp_path / "x.npy").write_bytes(DAMAGED[name])
    for read in (load_array, map_array):
        with pytest.raises(UserError, match="x.npy: not an .npy file of numbers, or damaged: "):
            read(tmp_path / "x.npy")
    with pytest.raises(ValueError):
        view_array(np.frombuffer(DAMAGED[name], np.uint8))


@given(st.data())
def test_any_change_is_an_array_or_a_value_error(data):
    content = bytearray(saved(data.draw(arrays.arrays(np.float32, (2, 3)))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        view_array(np.frombuffer(bytes(content), np.uint8))


@given(st.binary(max_size=100))
def test_any_header_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        parse_header(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    for read in (load_array, map_array):
        with pytest.raises(UserError, match="must be a file. Received: a pipe"):
            read(tmp_path / "x.npy")


def test_arrays_of_an_archive_are_read_by_name(tmp_path):
    arrays = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.array(3)}
    np.savez(tmp_path / "x.npz", **arrays)
    with open_arrays(tmp_path / "x.npz") as read:
        for name, array in arrays.items():
            np.testing.assert_array_equal(read(name), array)
        with pytest.raises(UserError, match=r"x\.npz: there is no d in it"):
            read("d")


def test_objects_in_an_archive_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}], object))
    with (
        open_arrays(tmp_path / "x.npz") as read,
        pytest.raises(UserError, match=r"x\.npz: a in it: damaged: it holds Python objects"),
    ):
        read("a")


def test_an_archive_of_a_giant_is_refused(tmp_path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", with_header(header))
    with (
        open_arrays(tmp_path / "x.npz") as read,
        pytest.raises(UserError, match="a in it: damaged: 4000000000"),
    ):
        read("a")
