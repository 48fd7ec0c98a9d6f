"""The note of a run's data, by which a run that is continued knows them again.

Comments in `config.flags`. Runs of earlier versions have only the first of them.
"""

import hashlib
import json
import re
from collections.abc import Sequence

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid, sha256_of
from tfrecords_tools.shape import SMALLEST_RESOLUTION, SQUARE, Base
from tfrecords_tools.untrusted.json_file import parse_json

_CONTENTS, _DIGEST, _CLASSES = "# Trained on: ", "# Data digest: ", "# Class names: "
_SHOWN = 200  # characters of class names in an error


def note_lines(pyramid: Pyramid) -> list[str]:
    """Return the comments on a pyramid. Where it lies, and its name, are not part of them."""
    lines = [
        f"{_CONTENTS}{pyramid.count} images, {pyramid.channels} channel(s), "
        f"{pyramid.label_size} labels{_shape(pyramid)}"
    ]
    digest = _digest(pyramid)
    if digest is not None:
        lines.append(f"{_DIGEST}{digest}")
    if pyramid.label_names is not None:
        lines.append(f"{_CLASSES}{json.dumps(pyramid.label_names)}")
    return lines


def difference(before: Sequence[str], pyramid: Pyramid) -> str | None:
    """Return in what data differ from a run's, as a phrase; None if they are the run's.

    What only one of the two has is not compared.

    Args:
      before: the lines of the run's `config.flags`.
      pyramid: the data.
    """
    now = note_lines(pyramid)
    for prefix, phrase in (
        (_CONTENTS, "other data, {before}. Received: {now}"),
        (_CLASSES, "other class names, {before}. Received: {now}"),
        (_DIGEST, "other data of the same size, with the digest {before}. Received: {now}"),
    ):
        old, new = _find(before, prefix), _find(now, prefix)
        # Digests of one kind only: the manifest may have come, or gone.
        comparable = prefix != _DIGEST or (old or "").split(" ")[0] == (new or "").split(" ")[0]
        if old and new and old != new and comparable:
            old, new = _with_base(old, beside=new), _with_base(new, beside=old)
            return phrase.format(before=old[:_SHOWN], now=new[:_SHOWN])
    return None


def is_for_networks_of(before: Sequence[str], pyramid: Pyramid) -> bool:
    """Return whether the networks of a run's own data take a pyramid's: its channels and base."""
    old = _find(before, _CONTENTS) or ""
    return f" {pyramid.channels} channel(s)," in old and noted_base(before) == pyramid.base


def noted_base(lines: Sequence[str]) -> Base:
    """Return the base of the images in a run's `config.flags`; of squares if it has none."""
    match = re.search(r", base (\d+)x(\d+)", _find(lines, _CONTENTS) or "")
    return SQUARE if match is None else Base(width=int(match[1]), height=int(match[2]))


def named_classes(lines: Sequence[str]) -> list[str] | None:
    """Return the names of the classes in a run's `config.flags`; None if it has none."""
    try:
        names = parse_json(_find(lines, _CLASSES) or "null", "class names")
    except UserError:  # edited by hand
        return None
    are_names = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if are_names else None


def _with_base(note: str, *, beside: str) -> str:
    """Return a note with the base of squares too, if the other has one of rectangles."""
    return f"{note}, base 4x4" if ", base " in beside and ", base " not in note else note


def _shape(pyramid: Pyramid) -> str:
    """Return the words that a note adds for rectangles, their base, and for 16 bits."""
    base = "" if pyramid.base.is_square else f", base {pyramid.base.text_at(SMALLEST_RESOLUTION)}"
    return base + ("" if pyramid.bits == 8 else f", {pyramid.bits} bits")


def _find(lines: Sequence[str], prefix: str) -> str | None:
    return next((line[len(prefix) :] for line in lines if line.startswith(prefix)), None)


def _digest(pyramid: Pyramid) -> str | None:
    """Return a digest of a pyramid's files, with its kind.

    That of their sums in the manifest; without these, that of the lowest level and of the labels,
    which are read within a second. None for files elsewhere without sums.
    """
    files = (pyramid.manifest or {}).get("files") or {}
    sums = sorted(str(stated.get("sha256")) for stated in files.values())
    if sums and "None" not in sums:
        return f"sums {_sha256(''.join(sums).encode())}"
    if pyramid.is_remote:
        return None
    sums = [sha256_of(file.path) for file in pyramid.levels[0].files]
    if pyramid.labels is not None:
        sums.append(_sha256(np.ascontiguousarray(pyramid.labels).data))
    return f"lowest {_sha256(''.join(sums).encode())}"


def _sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
