"""ONNX Runtime Web, which runs the network in browsers: a copy of its npm package, or a CDN's."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import user_path
from tfrecords_tools.untrusted.regular_file import read_bytes

# The version that the page is tested with.
VERSION = "1.30.0"
# As in ONNX Runtime's own examples, but of one version.
_CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist"
DIRECTORY_NAME = "runtime"
_LICENSE = Path(__file__).with_name("onnxruntime_license.txt")

# For each backend of the page, a module and the WebAssembly that the module loads by its name.
_BACKENDS = {
    "webgpu": ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
}
_MAX_MODULE_BYTES = 2**24
_INSTALL = f"npm pack onnxruntime-web@{VERSION} && tar -xzf onnxruntime-web-{VERSION}.tgz"


def runtime_modules(*, copied: bool) -> dict[str, str]:
    """Return the address of each backend's module, relative to the page or on the CDN."""
    if not copied:
        return {backend: f"{_CDN}/{module}" for backend, (module, _) in _BACKENDS.items()}
    return {
        backend: f"{DIRECTORY_NAME}/{_served_name(module)}"
        for backend, (module, _) in _BACKENDS.items()
    }


def check_runtime(directory: str | os.PathLike) -> Path:
    """Return the folder of ONNX Runtime Web's files.

    Args:
      directory: the npm package, unpacked; or a folder in which it was unpacked or installed.

    Raises:
      UserError: files are missing, or of a version that needs others.
    """
    root = user_path(directory)
    candidates = [
        root / "dist",
        root,
        root / "package" / "dist",
        root / "onnxruntime-web" / "dist",
        root / "node_modules" / "onnxruntime-web" / "dist",
    ]
    dist = next((folder for folder in candidates if any(folder.glob("ort*.mjs"))), root / "dist")
    for module, binary in _BACKENDS.values():
        for name in (module, binary):
            if not (dist / name).is_file():
                raise UserError(
                    f"--runtime={directory}: there is no {dist / name}, of ONNX Runtime Web "
                    f"{VERSION}. Type: {_INSTALL}, and then --runtime=package"
                )
        if binary.encode() not in read_bytes(dist / module, _MAX_MODULE_BYTES):
            raise UserError(
                f"--runtime={directory}: {dist / module} must load {binary}, as in version "
                f"{VERSION}. Received: another version. Type: {_INSTALL}, and then "
                "--runtime=package"
            )
    return dist


def copy_runtime(dist: Path, output: Path) -> None:
    """Copy ONNX Runtime Web, with its license, into the folder of a page.

    Args:
      dist: from `check_runtime`.
      output: the page's folder.
    """
    target = output / DIRECTORY_NAME
    target.mkdir()
    for module, binary in _BACKENDS.values():
        shutil.copyfile(dist / module, target / _served_name(module))
        shutil.copyfile(dist / binary, target / binary)
    own = [file for file in sorted(dist.parent.glob("LICENSE*")) if file.is_file()]
    shutil.copyfile(own[0] if own else _LICENSE, target / "LICENSE")


def belongs_to_runtime(path: Path) -> bool:
    """Return whether a folder holds nothing other than what `copy_runtime` copies."""
    names = {"LICENSE", *_copied_names()}
    return path.is_dir() and all(file.name in names and file.is_file() for file in path.iterdir())


def _copied_names() -> Iterator[str]:
    for module, binary in _BACKENDS.values():
        yield from (_served_name(module), binary)


def _served_name(module: str) -> str:
    """Return a name that all web servers serve as JavaScript: some don't know .mjs."""
    return module.removesuffix(".mjs") + ".js"
