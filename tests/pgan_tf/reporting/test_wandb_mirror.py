"""Runs that W&B follows: what it holds, continued runs, and everything that can be amiss there."""

import dataclasses
import http.server
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import wandb

from pgan_tf.reporting import wandb_mirror
from pgan_tf.reporting.wandb_mirror import mirrored_to_wandb
from pgan_tf.runs.run_directory import RunDirectory
from tests.helpers.tiny import tiny_config
from tests.helpers.wandb_files import read_run
from tfrecords_tools import extras
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow  # each begins a process of W&B's


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """Nothing of this machine's own W&B: no key, no settings, no network."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "no netrc"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield
    wandb_mirror.end_process(wandb)


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "faces" / "first run")
    directory.path.mkdir(parents=True)
    return directory


def config(**more):
    return tiny_config("data", "run", wandb=True, **more)


def write(run, *steps):
    """Write a scalar and a grid to TensorBoard at each step."""
    writer = tf.summary.create_file_writer(str(run.path))
    for step in steps:
        with writer.as_default(step=step):
            tf.summary.scalar("loss/generator", step / 2)
            tf.summary.image("images/fakes", np.full([1, 4, 6, 3], 50, np.uint8))
    writer.close()


def wandb_runs(run):
    """Return the directories of W&B in a run directory, the oldest first."""
    return sorted(
        (p for p in (run.path / "wandb").iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime
    )


def held(directory):
    wandb.teardown()  # its process writes the rest of its file after a run has been finished
    [file] = directory.glob("*.wandb")
    return read_run(file)


def test_scalars_and_grids_are_followed_and_nothing_is_copied(run, capfd):
    with mirrored_to_wandb(config(), run):
        write(run, 16, 32)
    [directory] = wandb_runs(run)
    found = held(directory)
    assert [row["global_step"] for row in found["history"]] == [16, 32]
    assert [row["loss/generator"] for row in found["history"]] == [8, 16]
    assert [row["images/fakes/width"] for row in found["history"]] == [6, 6]
    for row in found["history"]:
        [picture] = row["images/fakes/filenames"]
        assert (directory / "files" / picture).is_file()
    assert (found["project"], found["name"], found["exit_code"]) == ("faces", "first run", 0)
    assert found["config"]["fmap_max"] == 8 and found["config"]["wandb"] is True
    # TensorBoard, which looks into all directories below, would show copies as runs of their own.
    assert len(list(run.path.rglob("*tfevents*"))) == 1
    links = [path for path in run.path.rglob("*") if path.is_symlink()]
    assert {path.parent.name for path in links} <= {"logs"}
    assert capfd.readouterr() == ("", "")


def test_a_continued_run_continues_its_run_there_wherever_it_lies(run, tmp_path):
    with mirrored_to_wandb(config(), run):
        write(run, 16)
    before = held(wandb_runs(run)[0])
    # As if it had been written a second ago: W&B tells sessions by the time in the file's name.
    [events] = run.path.glob("*tfevents*")
    events.rename(run.path / events.name.replace("tfevents.1", "tfevents.0"))
    moved = RunDirectory(tmp_path / "elsewhere" / "renamed")
    moved.path.parent.mkdir()
    run.path.rename(moved.path)
    longer = config()
    schedule = dataclasses.replace(longer.schedule, total_kimg=0.2)
    with mirrored_to_wandb(dataclasses.replace(longer, schedule=schedule), moved):
        write(moved, 32)
    after = held(wandb_runs(moved)[1])
    assert [(x["id"], x["project"]) for x in (before, after)] == [(before["id"], "faces")] * 2
    assert [row["global_step"] for row in after["history"]] == [32]
    assert after["config"]["total_kimg"] == 0.2


def test_events_are_read_no_more_once_the_run_has_ended(run):
    with mirrored_to_wandb(config(), run):
        write(run, 16)
    write(run, 32)
    assert [row["global_step"] for row in held(wandb_runs(run)[0])["history"]] == [16]
    assert wandb.patched["tensorboard"] == []


def test_names_are_those_of_wandbs_own_variables_if_they_are_set(run, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_NAME", "the best")
    monkeypatch.setenv("WANDB_RUN_ID", "run-7")
    with mirrored_to_wandb(config(), run):
        pass
    found = held(wandb_runs(run)[0])
    assert (found["id"], found["project"], found["name"]) == ("run-7", "mine", "the best")


def test_a_project_has_no_character_that_wandb_refuses(tmp_path):
    directory = RunDirectory(tmp_path / "50%: a#b?" / "run")
    directory.path.mkdir(parents=True)
    with mirrored_to_wandb(config(), directory):
        pass
    assert held(wandb_runs(directory)[0])["project"] == "50-- a-b-"


def test_without_the_flag_nothing_of_wandb_happens(run, monkeypatch):
    monkeypatch.setattr(wandb_mirror, "require_wandb", lambda: pytest.fail("imported"))
    with mirrored_to_wandb(tiny_config("data", "run"), run):
        write(run, 16)
    assert not (run.path / "wandb").exists()


def test_a_missing_library_is_one_line(run, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    mirrored = mirrored_to_wandb(config(), run)
    with pytest.raises(UserError, match=r"needs wandb.*pip install 'pgan_tf\[wandb\]'"), mirrored:
        pytest.fail("the block has begun")


def test_a_failed_run_is_a_failed_run_there(run):
    with pytest.raises(RuntimeError, match="lost"), mirrored_to_wandb(config(), run):
        raise RuntimeError("lost")
    assert held(wandb_runs(run)[0])["exit_code"] == 1


def one_warning(caplog):
    [record] = [r for r in caplog.records if r.levelname == "WARNING" and "W&B" in r.getMessage()]
    return record.getMessage()


def test_without_a_key_the_run_is_kept_to_be_sent_later(run, monkeypatch, caplog):
    monkeypatch.delenv("WANDB_MODE")
    with mirrored_to_wandb(config(), run):
        write(run, 16)
    [directory] = wandb_runs(run)
    assert held(directory)["history"][0]["loss/generator"] == 8
    assert "not logged in (wandb login)" in one_warning(caplog)
    assert f"wandb sync '{directory}'" in one_warning(caplog)


@pytest.fixture
def server(monkeypatch):
    """A server that refuses everything, as W&B does a wrong key."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_error(401)

        def do_GET(self):
            self.do_POST()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    yield server
    server.shutdown()


def test_a_server_that_refuses_is_a_warning_and_the_run_is_kept(run, server, caplog):
    with mirrored_to_wandb(config(), run):
        write(run, 16)
    kept = [path for path in wandb_runs(run) if path.name.startswith("offline-")]
    assert held(kept[0])["history"][0]["loss/generator"] == 8
    assert "can't be reached" in one_warning(caplog) and "401" in one_warning(caplog)


def test_a_server_that_nobody_listens_at_is_given_up(run, server, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(wandb_mirror, "_START_SECONDS", 1.0)
    with mirrored_to_wandb(config(), run):
        write(run, 16)
    assert "can't be reached" in one_warning(caplog) and "refused" in one_warning(caplog)


def test_a_directory_that_cant_be_written_is_a_warning(run, caplog):
    (run.path / "wandb").write_text("a file")
    with mirrored_to_wandb(config(), run):
        write(run, 16)
    assert "can't begin" in one_warning(caplog)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"id": "../x", "project": "p"}', '{"id": "a", "project": "a/b"}']
)
def test_a_damaged_identity_begins_a_new_run(run, content, caplog, monkeypatch):
    (run.path / "wandb").mkdir()
    (run.path / "wandb" / "run.json").write_text(content)
    assert wandb_mirror._read_identity(run) is None
    assert "a new run is begun" in one_warning(caplog)


def core_processes():
    """Return the processes of W&B that this one has started."""
    found = []
    for entry in os.scandir("/proc"):
        try:
            stat = Path(entry.path, "stat").read_text()
        except OSError:
            continue
        name, _, rest = stat.partition("(")[2].rpartition(")")
        state, parent = rest.split()[:2]
        if "wandb" in name and int(parent) == os.getpid() and state != "Z":
            found.append(int(entry.name))
    return found


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks in /proc")


@needs_proc
def test_a_process_of_wandb_that_dies_is_a_warning(run, caplog):
    with mirrored_to_wandb(config(), run):
        [core] = core_processes()
        os.kill(core, signal.SIGKILL)
        write(run, 16)
    assert "not everything was sent" in one_warning(caplog)
    assert core_processes() == []


@needs_proc
def test_a_process_of_wandb_that_hangs_is_given_up(run, caplog, monkeypatch):
    hangs = threading.Event()
    monkeypatch.setattr(wandb.Run, "finish", lambda self, exit_code: hangs.wait(60))
    monkeypatch.setattr(wandb_mirror, "_FINISH_SECONDS", -4.5)
    with mirrored_to_wandb(config(), run):
        [core] = core_processes()
        os.kill(core, signal.SIGSTOP)
    hangs.set()
    assert "no answer" in one_warning(caplog)
    assert core_processes() == []


@needs_proc
def test_a_process_of_wandb_that_does_not_end_is_killed(run, monkeypatch):
    monkeypatch.setattr(wandb_mirror, "_END_SECONDS", 1.0)
    with mirrored_to_wandb(config(), run):
        pass
    assert core_processes() == []
    wandb.init(dir=str(run.path), mode="offline", settings=wandb.Settings(silent=True)).finish()
    [core] = core_processes()
    os.kill(core, signal.SIGSTOP)
    wandb_mirror.end_process(wandb)
    assert core_processes() == []


@needs_proc
def test_asked_twice_nothing_is_waited_for(run):
    with pytest.raises(KeyboardInterrupt), mirrored_to_wandb(config(), run):
        [core] = core_processes()
        os.kill(core, signal.SIGSTOP)  # it would not answer
        raise KeyboardInterrupt
    assert core_processes() == []


def test_signals_exits_and_streams_stay_ours(run):
    def ours():
        handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        return [*handlers, sys.exit, sys.excepthook, sys.stdout.write, sys.stderr.write]

    before = ours()
    with mirrored_to_wandb(config(), run):
        assert ours() == before
    assert ours() == before
