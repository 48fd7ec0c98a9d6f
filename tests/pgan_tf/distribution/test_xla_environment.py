import os
import stat
import subprocess
import sys

import pytest

from pgan_tf.config import flags
from pgan_tf.distribution import xla_environment
from pgan_tf.distribution.xla_environment import set_up_xla

KNOWN = (
    b"xla_gpu_enable_command_buffer FUSION CUBLAS CUBLASLT CUDNN xla_gpu_graph_min_graph_size "
    b"xla_gpu_autotune_level"
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """An NVIDIA GPU, TensorFlow's library, and a process that has not imported TensorFlow."""
    gpu = tmp_path / "root/proc/driver/nvidia/gpus/0000:01:00.0"
    gpu.mkdir(parents=True)
    (gpu / "information").write_text("Model: \t NVIDIA H200\nIRQ: 7\n")
    (tmp_path / "root/proc/driver/nvidia/version").write_text("580.1\n")
    (tmp_path / "library").write_bytes(KNOWN)
    for name in ("XLA_FLAGS", "TF_XLA_FLAGS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    return tmp_path


def set_up(machine, cache_dir="auto"):
    """Set XLA up; return the cache's directory, if there is one."""
    os.environ["TF_XLA_FLAGS"] = ""
    set_up_xla(cache_dir, root=machine / "root", library=machine / "library")
    return os.environ["TF_XLA_FLAGS"].partition("directory=")[2]


def test_a_gpu_gets_a_cache_that_only_the_user_can_write(machine):
    directory = set_up(machine)
    assert directory.startswith(str(machine / "caches/pgan_tf/xla/"))
    for path in (directory, os.path.dirname(directory)):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert "device_types=GPU" in os.environ["TF_XLA_FLAGS"]
    assert "--xla_gpu_autotune_level=2" in os.environ["XLA_FLAGS"]
    assert set_up(machine) == directory
    assert os.environ["XLA_FLAGS"].count("autotune_level") == 1


def test_another_driver_library_or_option_has_its_own_cache(machine, monkeypatch):
    found = [set_up(machine)]
    (machine / "root/proc/driver/nvidia/version").write_text("590.1\n")
    found.append(set_up(machine))
    (machine / "library").write_bytes(KNOWN + b" newer")
    found.append(set_up(machine))
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4")
    found.append(set_up(machine))
    assert len(set(found)) == 4


def test_the_users_options_win_and_unknown_ones_are_not_set(machine, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4")
    (machine / "library").write_bytes(KNOWN.replace(b"CUBLASLT", b""))
    set_up(machine)
    assert os.environ["XLA_FLAGS"] == (
        "--xla_gpu_autotune_level=4 --xla_gpu_graph_min_graph_size=2"
    )


def test_an_empty_value_keeps_nothing(machine):
    assert set_up(machine, "") == ""
    assert not (machine / "caches").exists()


def test_nothing_is_set_without_a_gpu(machine):
    set_up_xla("auto", root=machine, library=machine / "library")
    assert os.environ["XLA_FLAGS"] == os.environ["TF_XLA_FLAGS"] == ""


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_directory_that_others_can_write_is_refused(machine, caplog, mode):
    (machine / "cache").mkdir()
    (machine / "cache").chmod(mode)
    assert set_up(machine, str(machine / "cache")) == ""
    assert "writable by no one else" in caplog.text


def test_a_directory_of_someone_else_is_refused(machine, caplog, monkeypatch):
    (machine / "cache").mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert set_up(machine, str(machine / "cache")) == ""
    assert "must be yours" in caplog.text


def test_links_files_and_spaces_are_refused(machine, caplog):
    (machine / "file").write_text("")
    (machine / "link").symlink_to(machine)
    for name in ("file", "link", "a b"):
        assert set_up(machine, str(machine / name)) == ""
    assert caplog.text.count("compiled steps are not cached") == 3


def test_a_tensorflow_that_was_imported_has_no_cache(machine, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    assert set_up(machine) == ""
    assert "imported first" in caplog.text
    assert "autotune_level" in os.environ["XLA_FLAGS"]


def test_the_longest_unused_files_are_deleted(machine, monkeypatch):
    home = machine / "caches/pgan_tf/xla"
    set_up(machine)
    (home / "older").mkdir()
    for i, name in enumerate(["b", "a", "c"]):
        file = home / "older" / f"xla_compile_cache__{name}.pb"
        file.write_bytes(bytes(10))
        os.utime(file, (i, i))
    (home / "older/notes.txt").write_bytes(bytes(100))
    monkeypatch.setattr(xla_environment, "MAX_BYTES", 20)
    set_up(machine)
    left = sorted(file.name for file in (home / "older").iterdir())
    assert left == ["notes.txt", "xla_compile_cache__a.pb", "xla_compile_cache__c.pb"]


def test_a_run_directory_does_not_choose_the_cache():
    config = flags.parse_flagfile("--xla_cache_dir=/elsewhere\n--seed=7\n", "config.flags")
    assert config.run.xla_cache_dir == "auto"
    assert config.run.seed == 7
    assert "xla_cache_dir" not in flags.to_flagfile(config)


def test_the_command_sets_xla_up_before_it_imports_tensorflow():
    code = "import sys, pgan_tf.cli.train; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.slow
def test_the_installed_tensorflow_knows_every_option(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    options = xla_environment._options(xla_environment._library())
    assert len(options) == 3
    code = "import tensorflow as tf; print(tf.function(lambda: 1 + 1, jit_compile=True)().numpy())"
    environment = {**os.environ, "XLA_FLAGS": " ".join(options)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "2\n"
