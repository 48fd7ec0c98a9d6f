"""Names that terminals and files can take."""

import os

import pytest

from tfrecords_tools.printable import encodable, printable, say


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("köln 日本.png", "köln 日本.png"),
        (os.fsdecode(b"caf\xe9.png"), "caf\\xe9.png"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\r\nb\x9bc", "a\\x0d\\x0ab\\x9bc"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud83d", "\\ud83d"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(name, shown):
    assert printable(name) == shown


def test_a_name_with_a_line_end_makes_no_line_of_its_own(capsys):
    say("classes: a\nTrain on it: evil", "next")
    assert capsys.readouterr().out == "classes: a\\x0aTrain on it: evil\nnext\n"


def test_text_for_files_keeps_all_that_is_unicode():
    assert encodable(os.fsdecode(b"\xff\x1b") + "\u202eü") == "\\xff\x1b\u202eü"
