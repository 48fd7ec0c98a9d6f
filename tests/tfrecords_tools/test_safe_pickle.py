"""Pickles of plain data are read, and nothing in a pickle is ever run."""

import collections
import contextlib
import copyreg
import os
import pickle
import re
import struct
import subprocess
import sys
import tracemalloc
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrecords_tools.errors import UserError
from tfrecords_tools.safe_pickle import ForbiddenPickleError, Instance, load_plain

PROTOCOLS = range(6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_and_arrays_are_read(protocol):
    data = {
        "a": [1, 2.5, "x", b"y\xff", b"", bytearray(b"z"), None, (True, 2**70)],
        "b": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "c": collections.OrderedDict([("z", 1), ("a", 2)]),
        "d": np.float32(0.25),
    }
    read = load_plain(pickle.dumps(data, protocol), "x")
    assert read["a"] == data["a"]
    np.testing.assert_array_equal(read["b"], data["b"])
    assert list(read["c"].items()) == [("z", 1), ("a", 2)]
    assert read["d"] == data["d"]
    assert read["d"].dtype == np.float32


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
        np.arange(24, dtype=np.int64).reshape(2, 3, 4)[:, ::2].T,
        np.arange(3, dtype=">f4"),
        np.array(1.5, np.float16),
        np.zeros([0, 3], np.float32),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype.str}-{array.shape}",
)
def test_arrays_of_any_layout_are_read(array, protocol):
    read = load_plain(pickle.dumps(array, protocol), "x")
    assert isinstance(read, np.ndarray)
    assert read.dtype == array.dtype.newbyteorder("=") or read.dtype == array.dtype
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("spelling", [b"numpy.core", b"numpy._core"])
def test_both_spellings_of_numpys_modules_are_read(spelling):
    data = pickle.dumps(np.arange(3.0), protocol=2)
    ours = b"numpy._core" if b"numpy._core" in data else b"numpy.core"
    read = load_plain(data.replace(ours, spelling), "x")
    np.testing.assert_array_equal(read, [0, 1, 2])


def test_text_of_python_2_becomes_text():
    # {'data': 'ab'} with byte strings, as Python 2 pickles it.
    assert load_plain(b"\x80\x02}q\x01U\x04dataq\x02U\x02abq\x03s.", "x") == {"data": "ab"}


def test_an_array_of_python_2_is_read():
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03"
        b"U\x01bq\x04\x87q\x05Rq\x06(K\x01K\x02\x85q\x07cnumpy\ndtype\nq\x08U\x02f4q\tK\x00K\x01\x87q\n"
        b"Rq\x0b(K\x03U\x01<q\x0cNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\rb\x89"
        b"U\x08\x00\x00\x80?\x00\x00\x00\xc0q\x0etq\x0fb."
    )
    read = load_plain(data, "x")
    np.testing.assert_array_equal(read, np.array([1, -2], np.float32))


@pytest.fixture
def network_class(monkeypatch):
    """Return a class of another program, in a module that is gone when the pickle is read."""
    module = types.ModuleType("nets")
    exec(
        "class Network:\n"
        "    def __getstate__(self): return {'version': 2, 'name': 'G'}\n"
        "    def __setstate__(self, state): raise AssertionError('run')\n",
        module.__dict__,
    )
    monkeypatch.setitem(sys.modules, "nets", module)
    return module.Network


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_of_named_classes_come_as_their_state(network_class, protocol, monkeypatch):
    data = pickle.dumps((network_class(), None), protocol)
    monkeypatch.delitem(sys.modules, "nets")
    instance, nothing = load_plain(data, "x", ["nets.Network"])
    assert nothing is None
    assert isinstance(instance, Instance)
    assert instance.class_name == "nets.Network"
    assert instance.state == {"version": 2, "name": "G"}
    with pytest.raises(ForbiddenPickleError, match=r"Received: nets\.Network"):
        load_plain(data, "x")


class Attack:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


TOUCH = "touch owned"
OPEN = "open('owned', 'w')"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (Attack(os.system, (TOUCH,)), "(posix|nt).system"),
        (Attack(eval, (OPEN,)), "(builtins|__builtin__).eval"),
        (Attack(exec, (OPEN,)), "(builtins|__builtin__).exec"),
        (Attack(getattr, ("os", "system")), "(builtins|__builtin__).getattr"),
        (Attack(__import__, ("os",)), "(builtins|__builtin__).__import__"),
        (Attack(subprocess.Popen, (["touch", "owned"],)), r"(subprocess|commands)\.Popen"),
        (Attack(np.fromfile, ("x",)), "numpy.*.fromfile"),
        (Attack(np.load, ("x",)), "numpy.*load"),
        (Attack(np.memmap, ("owned", "u1", "w+", 0, 8)), "numpy.*memmap"),
        (Attack(copyreg.add_extension, ("os", "system", 1)), "copy_?reg.add_extension"),
        (Attack(pickle.loads, (b"",)), "_?pickle.loads"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_code_is_refused_and_named_and_not_run(tmp_path, monkeypatch, attack, named, protocol):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"data": attack}, protocol)
    with pytest.raises(ForbiddenPickleError, match=f"^batch: not loaded: .* Received: .*{named}"):
        load_plain(data, "batch")
    assert os.listdir() == []


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (b"cos\nsystem\n(S'touch owned'\ntR.", r"os\.system"),
        (b"(S'touch owned'\nios\nsystem\n.", r"os\.system"),
        (b"(cos\nsystem\nS'touch owned'\no.", r"os\.system"),
        (b"\x80\x04" + text("os") + text("path.join") + b"\x93.", r"os\.path\.join"),
        (b"\x80\x04" + text("numpy") + text("ndarray.tofile") + b"\x93.", r"ndarray\.tofile"),
        (b"\x80\x04" + text("torch._utils") + text("_rebuild_tensor_v2") + b"\x93.", "torch"),
        (b"cnumpy\nload\n.", r"numpy\.load"),
        (b"Pweights\n.", "a persistent object \\('weights'\\)"),
        (b"\x80\x02K\x01Q.", "a persistent object"),
        (b"\x80\x02\x82\x01.", "extension registry"),
        # What is allowed to be named can't be used for anything else.
        (b"cnumpy\nndarray\n(I1000000000000\ntR.", "to call a class that is only named"),
        (b"cnumpy\ndtype\n(S'O'\ntR.", "an array of type 'O'"),
        (b"cnumpy\ndtype\n(S'V1000000000'\ntR.", "an array of type 'V1000000000'"),
        (b"c__builtin__\nbytes\n(I1000000000000\ntR.", "bytes of int"),
        (b"c__builtin__\nbytearray\n(I1000000000000\ntR.", "bytes of int"),
        (b"c__builtin__\nobject\n(tR.", "to call a class that is only named"),
        (b"c_codecs\nencode\n(S'x'\nS'zlib'\ntR.", "codecs.encode to 'zlib'"),
        (b"c_codecs\nencode\n}b.", "to change codecs.encode"),
        (b"cnumpy\ndtype\n(N}S'x'\nS'y'\nstb.", "to change numpy.dtype"),
        (
            b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.",
            "copyreg._reconstructor",
        ),
    ],
)
def test_operations_by_hand_are_refused(tmp_path, monkeypatch, data, asked):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ForbiddenPickleError, match=f"Received: .*{asked}"):
        load_plain(data, "batch")
    assert os.listdir() == []


def test_a_class_can_not_be_changed_by_a_pickle(network_class):
    data = b"cnets\nNetwork\n(N}S'class_name'\nS'other'\nstb."
    with pytest.raises(UserError, match="batch: damaged"):
        load_plain(data, "batch", ["nets.Network"])


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_of_objects_and_records_are_refused(protocol):
    for array in (
        np.array([Attack(os.system, (TOUCH,))], dtype=object),
        np.zeros(3, [("x", "f4")]),
        np.array(["text"]),
    ):
        with pytest.raises(ForbiddenPickleError, match="Received: "):
            load_plain(pickle.dumps(array, protocol), "batch")


@pytest.mark.parametrize(
    "data", [b"", b"nothing", pickle.dumps([1, 2])[:-3], b"\x80\x02cos\nsystem"]
)
def test_damaged_pickles_are_refused(data):
    with pytest.raises(UserError, match=r"^batch: damaged or no pickle"):
        load_plain(data, "batch")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_anywhere_is_refused(protocol):
    data = pickle.dumps({"b": np.arange(6.0), "c": [b"xyz", np.float32(1)]}, protocol)
    for length in range(len(data)):
        with pytest.raises(UserError, match=r"^batch: "):
            load_plain(data[:length], "batch")


def test_an_array_of_impossible_size_is_refused():
    data = pickle.dumps(np.zeros(7, np.uint8), protocol=2)
    huge = data.replace(b"K\x07\x85", b"\x8a\x06\xff\xff\xff\xff\xff\x0f\x85")
    assert huge != data
    with pytest.raises(UserError, match=r"batch: damaged .*in 7 bytes"):
        load_plain(huge, "batch")


def test_an_array_begun_with_an_impossible_size_takes_no_memory():
    data = pickle.dumps(np.zeros(7, np.uint8), protocol=2)
    huge = data.replace(b"K\x00\x85", b"\x8a\x06\xff\xff\xff\xff\xff\x0f\x85")
    assert huge != data
    np.testing.assert_array_equal(load_plain(huge, "batch"), np.zeros(7))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # entry 2^31 of the memo
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00x.",  # 2^40 bytes that are not there
        b"\x80\x04\x95\xff\xff\xff\xff\xff\x00\x00\x00N.",  # a frame of 2^40 bytes
        pickle.dumps(1 << 100_000),
    ],
)
def test_promises_of_much_memory_are_refused(data):
    with pytest.raises(UserError, match="batch: damaged"):
        load_plain(data, "batch")


def calls(function, *arguments, times):
    """Return a pickle that calls one function with the same arguments again and again."""
    numbered = range(1, len(arguments) + 1)
    kept = b"".join(argument + b"q%c0" % i for i, argument in zip(numbered, arguments, strict=True))
    call = b"h\x00(" + b"".join(b"h%c" % i for i in numbered) + b"tR"
    return b"\x80\x02c" + function + b"\nq\x000" + kept + b"(" + call * times + b"l."


TEXT = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000
BYTES = b"B" + struct.pack("<I", 100_000) + b"a" * 100_000
PAIRS = b"(" + b"".join(b"J" + struct.pack("<i", i) + b"N\x86" for i in range(20_000)) + b"t"


@pytest.mark.parametrize(
    "data",
    [
        calls(b"_codecs\nencode", TEXT, b"X\x06\x00\x00\x00latin1", times=2000),
        calls(b"builtins\nbytearray", BYTES, times=2000),
        calls(b"collections\nOrderedDict", PAIRS, times=2000),
    ],
    ids=["text", "bytes", "dictionary"],
)
def test_copies_of_one_thing_can_not_fill_the_memory(data):
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="batch: damaged .* make more than"):
            load_plain(data, "batch")
        assert tracemalloc.get_traced_memory()[1] < 60 * len(data)
    finally:
        tracemalloc.stop()


def test_an_array_takes_its_content_once():
    data = pickle.dumps(np.zeros(7, np.uint8), protocol=2)
    build = data.rindex(b"b.")
    state = data.rindex(b"(K\x01K\x07", 0, build)
    twice = data[:build] + b"b" + data[state:]
    assert load_plain(data, "batch").shape == (7,)
    with pytest.raises(UserError, match="an array that gets its content twice"):
        load_plain(twice, "batch")


def tower(floors):
    """Nest tuples, each twice in the next: hashing the last takes 2^floors steps."""
    return b")q\x00" + b"".join(b"0h\x00h\x00\x86q\x00" for _ in range(floors))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s.",
        b"\x80\x02}(" + tower(100) + b"K\x01u.",
        b"(" + tower(100) + b"K\x01d.",
        b"ccollections\nOrderedDict\n((" + tower(100) + b"K\x01\x86ttR.",
        b"\x80\x04\x8f(" + tower(100) + b"\x90.",
        b"\x80\x04(" + tower(100) + b"\x91.",
    ],
    ids=["deep", "items", "dictionary", "ordered", "set", "frozenset"],
)
def test_nested_tuples_are_never_hashed(tmp_path, data):
    # In a process of its own, which would crash or never end.
    (tmp_path / "data").write_bytes(data)
    code = (
        "import sys; from tfrecords_tools.safe_pickle import load_plain\n"
        "from tfrecords_tools.errors import UserError\n"
        "try: load_plain(open(sys.argv[1], 'rb').read(), 'x')\n"
        "except UserError as error: print(error)"
    )
    call = [sys.executable, "-c", code, str(tmp_path / "data")]
    done = subprocess.run(call, check=True, capture_output=True, text=True, timeout=60)
    assert re.search("Received: a (key that is a tuple|set)", done.stdout)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_keys_may_be_numbers_bytes_or_none(protocol):
    data = {True: "a", 2.5: "b", b"c\xff": "d", None: "e", np.float32(3): "g"}
    assert load_plain(pickle.dumps(data, protocol), "x") == data


def test_long_lists_in_one_another_are_read():
    data = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    assert len(load_plain(data, "x")) == 1


def doubled(times):
    """A tuple of the same two tuples, and so on: 2^times parts in a few bytes for each level."""
    value = ()
    for _ in range(times):
        value = (value, value)
    return pickle.dumps(value, 2)


def in_itself():
    value = []
    value.append(value)
    return pickle.dumps({"labels": value}, 2)


@pytest.mark.parametrize("data", [doubled(60), in_itself()], ids=["doubled", "in itself"])
def test_parts_without_end_are_refused(data):
    with pytest.raises(UserError, match=r"^x: damaged or no pickle: it has more than \d+ parts"):
        load_plain(data, "x")


@pytest.mark.parametrize("key", [sys.hash_info.modulus, -(2**62), 3 * sys.hash_info.modulus])
def test_integers_whose_hashes_can_be_equal_are_no_keys(key):
    with pytest.raises(ForbiddenPickleError, match="a key that is an integer of 6. bits"):
        load_plain(pickle.dumps({key: 1}, 2), "x")
    assert load_plain(pickle.dumps({2**60: 1}, 2), "x") == {2**60: 1}


@given(st.binary(max_size=120))
def test_any_bytes_are_data_or_a_users_error(data):
    for start in (b"", b"\x80\x02", b"\x80\x04"):
        with contextlib.suppress(UserError):
            load_plain(start + data, "x")
