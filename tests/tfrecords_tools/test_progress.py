"""Progress on terminals and in logs."""

import io
import re
import time
import types

import pytest

from tfrecords_tools import progress
from tfrecords_tools.progress import Progress, tracked, working


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log(monkeypatch):
    """Stderr of a command whose output is redirected, with a line at every occasion."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    log = io.StringIO()
    # Not `sys.stderr` itself, which pytest replaces between a fixture and its test.
    monkeypatch.setattr(progress, "sys", types.SimpleNamespace(stderr=log))
    return log


def test_a_log_gets_lines_with_what_is_done_and_the_time_left(log):
    with Progress(100, "images", "fakes", initial=40) as bar:
        bar.update(30)
        bar.update(30)
    lines = log.getvalue().splitlines()
    assert re.fullmatch(r"fakes: 70 of 100 images, 00:00 left", lines[0])
    assert lines[1].startswith("fakes: 100 of 100 images")


def test_bytes_are_told_in_megabytes_and_an_unknown_total_is_left_out(log):
    with Progress(None, "B") as bar:
        bar.update(5_000_000)
    assert log.getvalue() == "5 MB\n"


def test_a_log_gets_no_line_of_work_that_is_over_within_half_a_minute(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    assert list(tracked("abc", 3, "letters")) == ["a", "b", "c"]
    with working("sorting"):
        pass
    assert progress.LINE_SECONDS == 30 and log.getvalue() == ""


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    for _ in tracked(range(4), 4, "records"):
        pass
    assert "100%" in terminal.getvalue() and "4/4" in terminal.getvalue()


def wait_for(stream, text):
    deadline = time.monotonic() + 10
    while text not in stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert text in stream.getvalue()


def test_work_that_cannot_be_counted_tells_its_time_and_status_until_it_ends(log, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    with pytest.raises(KeyError), working("Beam", lambda: "1 of 2 shards"):
        wait_for(log, "Beam: 1 of 2 shards, 00:00 so far\n")
        raise KeyError
    after = log.getvalue()
    time.sleep(0.05)
    assert log.getvalue() == after


def test_on_a_terminal_the_time_is_shown_in_place(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "_REFRESH_SECONDS", 0.01)
    with working("sorting"):
        wait_for(terminal, "sorting: 00:00 so far")
    assert "\n" not in terminal.getvalue().replace("\r", "")
