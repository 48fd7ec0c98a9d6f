import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted import json_file
from tfrecords_tools.untrusted.json_file import parse_json, parse_object, read_lines, read_object

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(VALUES)
def test_values_are_those_that_were_written(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False).encode()):
        assert parse_json(text, "x.json") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        (b"\xff{}", "not valid JSON"),
        ("[" * 100_000, "not valid JSON: nested too deep"),
        ('{"a":' * 100_000, "not valid JSON: nested too deep"),
        ("1" * 19, "a whole number of 19 digits"),
        ("[-" + "1" * 5000 + "]", "a whole number of 5001 digits"),
    ],
)
def test_damaged_text_is_one_line_that_names_the_file(text, message):
    with pytest.raises(UserError, match=f"^x.json: .*{message}") as caught:
        parse_json(text, "x.json")
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)


def test_text_beyond_the_limit_is_not_parsed(monkeypatch):
    monkeypatch.setattr(json_file, "MAX_TEXT_BYTES", 10)
    assert parse_json("[1, 2, 3]", "x") == [1, 2, 3]
    with pytest.raises(UserError, match="x: must hold at most 10 bytes. Received: 12"):
        parse_json("[1, 2, 3, 4]", "x")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_users_error(data):
    with contextlib.suppress(UserError):
        parse_json(data, "x.json")


def test_an_object_is_required_where_one_is_read(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    assert read_object(tmp_path / "x.json") == {"a": 1}
    with pytest.raises(UserError, match="must be a JSON object. Received: list"):
        parse_object("[]", "x.json")


def test_lines_without_end_come_in_pieces(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\r\n' + b"x" * (3 << 20) + b"\n\xff\n[]")
    lines = list(read_lines(path))
    assert lines[0] == '{"a": 1}' and lines[-2:] == ["\ufffd", "[]"]
    assert max(map(len, lines)) == 1 << 20


def test_lines_of_a_file_that_is_too_large_are_not_read(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text("{}\n" * 4)
    assert len(list(read_lines(tmp_path / "x.jsonl"))) == 4
    monkeypatch.setattr(json_file, "MAX_TEXT_BYTES", 11)
    with pytest.raises(UserError, match=r"x\.jsonl: must hold at most 11 bytes. Received: 12"):
        list(read_lines(tmp_path / "x.jsonl"))
