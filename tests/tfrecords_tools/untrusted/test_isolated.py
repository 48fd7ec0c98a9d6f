import concurrent.futures
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.helpers.parser import Parser, die_in_worker, parse_in_worker
from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.untrusted import isolated
from tfrecords_tools.untrusted.isolated import IsolatedParser, run_isolated


@pytest.fixture
def file(tmp_path):
    (tmp_path / "x.mat").write_bytes(b"content")
    return tmp_path / "x.mat"


@pytest.fixture
def parser(file):
    parser = IsolatedParser(Parser, file)
    yield parser
    parser.close()


def test_results_come_back_whole_from_another_process(parser, monkeypatch):
    assert parser.call("process") != os.getpid()
    monkeypatch.setattr(isolated, "_CHUNK_BYTES", 1000)
    result = parser.call("arrays", 200_000)
    np.testing.assert_array_equal(result["x"], Parser("").arrays(200_000)["x"])
    assert result["y"] == "text"
    assert parser.call("arrays", 0)["x"].size == 0


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGBUS", "SIGKILL"])
def test_its_death_is_one_line(parser, name):
    message = rf"^\S*x\.mat: damaged: the library that reads it was ended by {name}$"
    for _ in range(2):
        with pytest.raises(UserError, match=message):
            parser.call("die", getattr(signal, name))


def test_its_exit_is_one_line(parser):
    with pytest.raises(UserError, match=r"x\.mat: damaged: .* ended by exit code 3"):
        parser.call("leave")


def test_its_errors_are_damage_and_those_of_users_stay(parser):
    with pytest.raises(UserError, match=r"x\.mat: damaged: no such page$"):
        parser.call("fail")
    with pytest.raises(BadImageError, match="image 3: is damaged"):
        parser.call("refuse")
    assert parser.call("process")


def test_its_memory_is_bounded(parser):
    with pytest.raises(UserError, match=r"x\.mat: damaged: MemoryError"):
        parser.call("take_memory")


def test_its_time_is_bounded(file, monkeypatch):
    monkeypatch.setattr(isolated, "_SECONDS", 1.0)
    parser = IsolatedParser(Parser, file)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"x\.mat: damaged: its library does not end within 1 s"):
        parser.call("sleep")
    parser.close()
    assert time.monotonic() - start < 20


def test_threads_share_it(parser):
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        counts = [2 * number for number in range(40)]
        results = threads.map(lambda count: parser.call("arrays", count)["x"].size, counts)
        assert list(results) == counts


def test_a_program_without_a_main_guard_may_use_it_wherever_it_is_started(file, tmp_path):
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "program.py").write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from tfrecords_tools.untrusted.isolated import run_isolated\n"
        "print(run_isolated(os.path.getsize, Path(sys.argv[1])))\n"
    )
    for name in ("multiprocessing", "pickle", "json", "tensorflow", "tfrecords_tools"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'w'); raise ImportError\n")
    done = subprocess.run(
        [sys.executable, "script/program.py", str(file)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONSAFEPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("7\n", "")
    assert not (tmp_path / "executed").exists()


def test_an_interactive_session_beside_the_package_may_use_it(file, monkeypatch):
    standard = [entry for entry in sys.path if entry.startswith(sys.base_prefix)]
    monkeypatch.setattr(sys, "path", ["", *standard])
    assert run_isolated(os.path.getsize, file) == 7


def test_a_pipe_is_refused_before_a_process_starts(tmp_path):
    os.mkfifo(tmp_path / "x.mat")
    with pytest.raises(UserError, match="must be a file. Received: a pipe"):
        run_isolated(os.path.getsize, tmp_path / "x.mat")


def test_a_function_is_called_once(file):
    assert run_isolated(os.path.getsize, file) == 7


def test_a_worker_process_parses_by_itself_and_its_death_is_one_line_too(file):
    for worker, parser in run_unordered(parse_in_worker, [file] * 3, 2):
        assert worker == parser != os.getpid()
    with pytest.raises(UserError, match="a worker process was killed: .* by a damaged file"):
        list(run_unordered(die_in_worker, [file], 2))


def test_one_worker_is_this_process_which_never_parses(file):
    ((worker, parser),) = run_unordered(parse_in_worker, [file], 1)
    assert worker == os.getpid() != parser
    with pytest.raises(UserError, match="ended by SIGSEGV"):
        list(run_unordered(die_in_worker, [file], 1))
