"""The versions that `--version` prints. Standard library only."""

import importlib.metadata
import platform

_DISTRIBUTION = "pgan_tf"
# What trainings differ by, in the order of the line.
_OTHERS = {"tensorflow": "TensorFlow", "keras": "Keras", "numpy": "NumPy"}


def version_line() -> str:
    """Return the project's version, and those of what it stands on, without importing them."""
    parts = [_version(_DISTRIBUTION) or "(not installed)"]
    parts += [
        f"{shown} {version}" for name, shown in _OTHERS.items() if (version := _version(name))
    ]
    return ", ".join([*parts, f"Python {platform.python_version()}"])


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
