"""XLA's settings for NVIDIA GPUs, in the environment: faster steps, and a cache of compilations.

TensorFlow reads them once, the cache's while it is imported. So this module does not import it, and
commands call `set_up_xla` first. On CPUs nothing is set: TensorFlow 2.21 loads what it has cached
for a CPU with pages of errors, and no faster than it compiles.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import mmap
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import logging

AUTO = "auto"  # the value of --xla_cache_dir that stands for the user's cache directory
MAX_BYTES = 2 * 2**30

_CACHE_OPTION = "--tf_xla_persistent_cache_directory"
# By either name of the device; TensorFlow 2.21 compares with the first.
_GPUS_ONLY = "--tf_xla_persistent_cache_device_types=GPU,XLA_GPU_JIT"
# Several kernels per launch: 4,323 images/s in place of 2,900 at 32x32 on an H200. And kernels are
# tuned without comparing their results.
_OPTIONS = {
    "--xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUDNN",
    "--xla_gpu_graph_min_graph_size": "2",
    "--xla_gpu_autotune_level": "2",
}


def set_up_xla(cache_dir: str, *, root: Path = Path("/"), library: Path | None = None) -> None:
    """Set XLA's options where there is an NVIDIA GPU, best before TensorFlow is imported.

    What the user has set in XLA_FLAGS and TF_XLA_FLAGS stays.

    Args:
      cache_dir: directory of the cache: `auto` for one in the user's cache directory; empty for no
        cache.
      root: of the file system in which the driver is looked for.
      library: TensorFlow's, with XLA in it; None for that of the installed package.
    """
    gpus = _gpus(root)
    library = library or _library()
    if not gpus or library is None:
        return
    _add("XLA_FLAGS", _options(library))
    if not cache_dir or _CACHE_OPTION in os.environ.get("TF_XLA_FLAGS", ""):
        return
    if "tensorflow" in sys.modules:
        logging.warning(
            "compiled steps are not cached: TensorFlow was imported first; set TF_XLA_FLAGS=%s=DIR",
            _CACHE_OPTION,
        )
        return
    home = user_cache() if cache_dir == AUTO else Path(cache_dir).absolute()
    directory = home / _key(gpus, library, root)
    try:
        for path in (home, directory):
            _make_private(path)
    except OSError as error:
        logging.warning("compiled steps are not cached: %s", error)
        return
    _trim(home)
    _add("TF_XLA_FLAGS", [_GPUS_ONLY, f"{_CACHE_OPTION}={directory}"])


def _add(variable: str, options: Sequence[str]) -> None:
    """Add options to an environment variable, unless it names a file of options."""
    given = os.environ.get(variable, "").strip()
    if options and (not given or given.startswith("-")):
        os.environ[variable] = " ".join(filter(None, [given, *options]))


def user_cache() -> Path:
    """Return the cache's directory in the user's cache directory, which may not exist."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "pgan_tf" / "xla"


def _gpus(root: Path) -> list[str]:
    """Return the models of the NVIDIA GPUs that the driver reports."""
    models = []
    for file in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        with contextlib.suppress(OSError):
            lines = file.read_text().splitlines()
            models += [line.partition(":")[2].strip() for line in lines if "Model:" in line]
    return models


def _library() -> Path | None:
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("libtensorflow_framework.so*"))
    return found[0] if found else None


def _options(library: Path) -> list[str]:
    """Return the options that the user has not set, and that a library knows.

    XLA ends a process for an option, or the name of a value, that it does not know.
    """
    given = os.environ.get("XLA_FLAGS", "")
    wanted = {name: value for name, value in _OPTIONS.items() if f"{name}=" not in given}
    if not wanted:
        return []
    with (
        library.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):

        def is_known(name: str, value: str) -> bool:
            words = [word for word in value.split(",") if not word.isdecimal()]
            needed = [name.removeprefix("--"), *words]
            return all(content.find(word.encode()) >= 0 for word in needed)

        return [f"{name}={value}" for name, value in wanted.items() if is_known(name, value)]


def _key(gpus: Sequence[str], library: Path, root: Path) -> str:
    """Return a name that changes with everything that compiled code may depend on."""
    built = library.stat()
    driver = root / "proc/driver/nvidia/version"
    parts = [
        *gpus,
        os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        driver.read_text() if driver.exists() else "",
        f"{built.st_size} {built.st_mtime_ns}",
        *(_version(name) for name in ("tensorflow", "nvidia-cudnn-cu12", "nvidia-cublas-cu12")),
        os.environ.get("XLA_FLAGS", ""),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _make_private(directory: Path) -> None:
    """Make a directory; raise OSError unless only this user can write what will be executed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{directory} is not a directory, or a link to one")
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f"{directory} holds code that is executed, so it must be yours, and writable by no one "
            f"else (chmod 700 {directory})"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(f"{directory} can't be written")
    if not str(directory).isprintable() or any(c in str(directory) for c in " '\""):
        raise OSError(f"{directory} has a character that TF_XLA_FLAGS can't hold")


def _trim(home: Path) -> None:
    """Delete the cached files that have not been used for longest, down to `MAX_BYTES`."""
    files = []
    # Only what TensorFlow has written: the user may have named a directory with other files.
    for file in home.glob("*/xla_compile_cache__*"):
        with contextlib.suppress(OSError):  # another process has deleted it
            status = file.lstat()
            files.append((max(status.st_atime, status.st_mtime), status.st_size, file))
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= MAX_BYTES:
            return
        with contextlib.suppress(OSError):
            file.unlink()
        total -= size
