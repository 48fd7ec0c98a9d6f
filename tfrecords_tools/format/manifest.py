"""`manifest.json`: what a pyramid is and where it came from. Optional: the original writes none."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfrecords_tools.errors import UserError

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1
ENCODINGS = ("raw", "png")
_REQUIRED: dict[str, type] = {"count": int, "resolution": int, "channels": int}
_OPTIONAL: dict[str, Any] = {"encoding": "raw", "shards": 1, "files": {}}
_BLOCK_BYTES = 1 << 20
# The end of a manifest: the SHA-256 of all bytes before this comma.
_CHECKSUM = re.compile(rb',\n  "checksum": "([0-9a-f]{64})"\n}\n\Z')


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Writes a pyramid's manifest, with the format's version first and its own checksum last."""
    text = json.dumps({"format_version": FORMAT_VERSION, **manifest}, indent=2, ensure_ascii=False)
    body = text.removesuffix("\n}").encode()
    checksum = hashlib.sha256(body).hexdigest()
    (directory / MANIFEST_NAME).write_bytes(body + f',\n  "checksum": "{checksum}"\n}}\n'.encode())


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Reads a pyramid's manifest.

    Returns:
      The manifest, with defaults for `encoding`, `shards` and `files`; or None where there is none.

    Raises:
      UserError: it is not such a JSON object, damaged, or of another version of the format.
    """
    path = directory / MANIFEST_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return parse_manifest(path, data)


def parse_manifest(path: Path | str, data: bytes) -> dict[str, Any]:
    """A manifest from its file's bytes, wherever that is.

    Args:
      path: for messages.
      data: the file's contents.

    Returns:
      The manifest, with defaults for `encoding`, `shards` and `files`.

    Raises:
      UserError: as `read_manifest`.
    """
    try:
        manifest = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete or replace it") from error
    if not isinstance(manifest, dict) or type(manifest.get("format_version")) is not int:
        raise UserError(f"{path}: not a pyramid's manifest: 'format_version' is missing")
    if manifest["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"{path}: written by a later version of this program; format_version must be"
            f" {FORMAT_VERSION}. Received: {manifest['format_version']}"
        )
    if checksum_holds(data) is False:
        raise UserError(
            f"{path}: damaged, or edited: its checksum is wrong. If it was edited on purpose,"
            " remove its key 'checksum'"
        )
    manifest = {**_OPTIONAL, **manifest}
    _check_types(path, manifest)
    if manifest["encoding"] not in ENCODINGS:
        raise UserError(
            f"{path}: images are stored in a way that this version cannot read; 'encoding' must be"
            f" {' or '.join(ENCODINGS)}. Received: {manifest['encoding']!r}"
        )
    return manifest


def checksum_holds(data: bytes) -> bool | None:
    """Whether a manifest's bytes are those that were written; None if it has no checksum."""
    end = _CHECKSUM.search(data)
    if end is None:
        return None
    return hashlib.sha256(data[: end.start()]).hexdigest() == end[1].decode()


def sha256_of(path: Path, report: Callable[[int], object] = lambda size: None) -> str:
    """SHA-256 of a file, in hexadecimal.

    Args:
      path: the file.
      report: called with the number of bytes of each part that has been read.
    """
    digest, block = hashlib.sha256(), bytearray(_BLOCK_BYTES)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(memoryview(block)[:size])
            report(size)
    return digest.hexdigest()


def _check_types(path: Path | str, manifest: dict[str, Any]) -> None:
    for key, kind in (*_REQUIRED.items(), ("shards", int), ("files", dict)):
        if not isinstance(manifest.get(key), kind):
            raise UserError(
                f"{path}: '{key}' must be of type {kind.__name__}. Received: {manifest.get(key)!r}"
            )
    for name, stated in manifest["files"].items():
        if not isinstance(stated, dict):
            raise UserError(
                f"{path}: 'files' must describe {name} by an object. Received: {stated!r}"
            )
    names = manifest.get("label_names")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise UserError(f"{path}: 'label_names' must be a list of strings. Received: {names!r}")
