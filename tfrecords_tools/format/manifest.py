"""`manifest.json`: a pyramid's contents and origin. Optional: the original writes none."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.example import BITS
from tfrecords_tools.printable import encodable, printable
from tfrecords_tools.shape import SQUARE, is_base
from tfrecords_tools.untrusted.json_file import parse_json
from tfrecords_tools.untrusted.regular_file import MAX_TEXT_BYTES, open_regular, read_bytes

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1
ENCODINGS = ("raw", "png")
_REQUIRED: dict[str, type] = {"count": int, "resolution": int, "channels": int}
_OPTIONAL: dict[str, Any] = {
    "encoding": "raw",
    "shards": 1,
    "files": {},
    "base": list(SQUARE),
    "bits": 8,
}
_BLOCK_BYTES = 1 << 20
# The end of a manifest: the SHA-256 of all bytes before this comma.
_CHECKSUM = re.compile(rb',\n  "checksum": "([0-9a-f]{64})"\n}\n\Z')


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Write a pyramid's manifest, with the format's version first and its own checksum last."""
    body = manifest_text(manifest).removesuffix("\n}").encode()
    checksum = hashlib.sha256(body).hexdigest()
    (directory / MANIFEST_NAME).write_bytes(body + f',\n  "checksum": "{checksum}"\n}}\n'.encode())


def manifest_text(manifest: dict[str, Any]) -> str:
    """Return a manifest as JSON, without its checksum.

    Names that are no UTF-8 are escaped; control characters as JSON does it, which reads them back.
    """
    content = _escape_names({"format_version": FORMAT_VERSION, **manifest})
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return "\n".join(printable(line, _json_escape) for line in text.split("\n"))


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def _escape_names(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(key): _escape_names(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escape_names(item) for item in value]
    return value


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Read a pyramid's manifest.

    Returns:
      The manifest, with defaults for the keys that older ones lack; or None where there is none.

    Raises:
      UserError: the file is no manifest, or damaged, or of another version of the format.
    """
    path = directory / MANIFEST_NAME
    try:
        data = read_bytes(path, MAX_TEXT_BYTES)
    except FileNotFoundError:
        return None
    return parse_manifest(str(path), data)


def parse_manifest(location: str, data: bytes) -> dict[str, Any]:
    """Parse a manifest.

    Args:
      location: path or URL of the manifest, for errors.
      data: the file's contents.

    Returns:
      The manifest, with defaults for the keys that older ones lack.

    Raises:
      UserError: as `read_manifest`.
    """
    try:
        manifest = parse_json(data, location)
    except UserError as error:
        raise UserError(f"{error}; delete or replace it") from error
    if not isinstance(manifest, dict) or type(manifest.get("format_version")) is not int:
        raise UserError(f"{location}: not a pyramid's manifest: 'format_version' is missing")
    if manifest["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"{location}: written by a later version of this program; format_version must be"
            f" {FORMAT_VERSION}. Received: {manifest['format_version']}"
        )
    if is_intact(data) is False:
        raise UserError(
            f"{location}: damaged, or edited: its checksum is wrong. If it was edited on purpose,"
            " remove its key 'checksum'"
        )
    manifest = {**_OPTIONAL, **manifest}
    _check_types(location, manifest)
    if manifest["encoding"] not in ENCODINGS:
        raise UserError(
            f"{location}: images are stored in a way that this version cannot read; 'encoding' must"
            f" be {' or '.join(ENCODINGS)}. Received: {manifest['encoding']!r}"
        )
    return manifest


def is_intact(data: bytes) -> bool | None:
    """Compare a manifest's bytes with their own checksum.

    Returns:
      True if they agree, None where there is no checksum.
    """
    end = _CHECKSUM.search(data)
    if end is None:
        return None
    return hashlib.sha256(data[: end.start()]).hexdigest() == end[1].decode()


def sha256_of(path: Path, report: Callable[[int], object] = lambda size: None) -> str:
    """Compute the SHA-256 of a file, in hexadecimal.

    Args:
      path: the file.
      report: called with the number of bytes of each block that was read.
    """
    digest = hashlib.sha256()
    with open_regular(path, buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            report(len(block))
    return digest.hexdigest()


def _check_types(location: str, manifest: dict[str, Any]) -> None:
    for key, kind in (*_REQUIRED.items(), ("shards", int), ("files", dict)):
        if not isinstance(manifest.get(key), kind):
            raise UserError(
                f"{location}: '{key}' must be of type {kind.__name__}."
                f" Received: {manifest.get(key)!r}"
            )
    base = manifest["base"]
    if not (
        isinstance(base, list)
        and len(base) == 2
        and all(type(side) is int for side in base)
        and is_base(*base)
    ):
        raise UserError(
            f"{location}: 'base' must be the height and width of the lowest level, the smallest of"
            f" its shape with sides from 4. Received: {base!r}"
        )
    if manifest["bits"] not in BITS or type(manifest["bits"]) is not int:
        raise UserError(f"{location}: 'bits' must be 8 or 16. Received: {manifest['bits']!r}")
    for name, stated in manifest["files"].items():
        if not isinstance(stated, dict):
            raise UserError(
                f"{location}: 'files' must describe {name} by an object. Received: {stated!r}"
            )
    names = manifest.get("label_names")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise UserError(f"{location}: 'label_names' must be a list of strings. Received: {names!r}")
