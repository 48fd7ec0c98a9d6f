"""`manifest.json`: what a pyramid is and where it came from. Optional: the original writes none."""

import json
from pathlib import Path
from typing import Any

from tfrecords_tools.errors import UserError

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1
_REQUIRED: dict[str, type] = {"count": int, "resolution": int, "channels": int}


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Writes a pyramid's manifest, with the format's version first."""
    text = json.dumps({"format_version": FORMAT_VERSION, **manifest}, indent=2, ensure_ascii=False)
    (directory / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Reads a pyramid's manifest.

    Returns:
      The manifest, or None where there is none.

    Raises:
      UserError: it is not such a JSON object, or of a later version of the format.
    """
    path = directory / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete or replace it") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format_version"), int):
        raise UserError(f"{path}: not a pyramid's manifest: 'format_version' is missing")
    if manifest["format_version"] > FORMAT_VERSION:
        raise UserError(
            f"{path}: written by a later version of this program; format_version must be at most"
            f" {FORMAT_VERSION}. Received: {manifest['format_version']}"
        )
    for key, kind in _REQUIRED.items():
        if not isinstance(manifest.get(key), kind):
            raise UserError(
                f"{path}: '{key}' must be of type {kind.__name__}. Received: {manifest.get(key)!r}"
            )
    names = manifest.get("label_names")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise UserError(f"{path}: 'label_names' must be a list of strings. Received: {names!r}")
    return manifest
