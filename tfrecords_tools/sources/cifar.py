"""CIFAR-10 and CIFAR-100, from the pickles that their authors publish for Python."""

import dataclasses
import functools
import reprlib
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.safe_pickle import load_plain
from tfrecords_tools.sources.arrays import (
    ArraySource,
    DecodedImages,
    checked_classes,
    open_arrays,
)
from tfrecords_tools.sources.shared_flags import INPUT, LABELS, SHUFFLE, SPLIT
from tfrecords_tools.sources.spec import SourceRequest, SourceSpec
from tfrecords_tools.untrusted.regular_file import read_bytes
from tfrecords_tools.untrusted.unpacking import open_unpacked

_PIXELS = 3 * 32 * 32
# Several times what the archives unpack to.
_MAX_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class _Layout:
    """The names by which one of the two data sets is stored.

    Attributes:
      folder: the folder in the archive.
      splits: the files of each split.
      labels: the key of the labels in these files.
      names_file: the file with the classes' names.
      names: the key of the names in that file.
      classes: number of classes.
    """

    folder: str
    splits: dict[str, tuple[str, ...]]
    labels: str
    names_file: str
    names: str
    classes: int


_LAYOUTS = {
    "cifar10": _Layout(
        folder="cifar-10-batches-py",
        splits={
            "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
            "test": ("test_batch",),
        },
        labels="labels",
        names_file="batches.meta",
        names="label_names",
        classes=10,
    ),
    "cifar100": _Layout(
        folder="cifar-100-python",
        splits={"train": ("train",), "test": ("test",)},
        labels="fine_labels",
        names_file="meta",
        names="fine_label_names",
        classes=100,
    ),
}


def open_cifar(
    path: Path, kind: Literal["cifar10", "cifar100"], split: str, with_labels: bool
) -> ArraySource:
    """Read CIFAR's pickles; nothing in them is executed.

    Args:
      path: the folder of the files, the folder above it, or the published .tar.gz.
      kind: one of the two data sets. The labels of CIFAR-100 are the 100 fine ones.
      split: "train", which the original uses, or "test".
      with_labels: take the labels.

    Raises:
      UserError: a file is missing, damaged, or of another kind.
    """
    return open_arrays(kind, path, functools.partial(_read, path, kind, split), with_labels)


def _read(path: Path, kind: str, split: str) -> DecodedImages:
    layout = _LAYOUTS[kind]
    wanted = layout.splits[split]
    contents = _contents(path, layout, (*wanted, layout.names_file))
    images, classes = [], []
    for name in wanted:
        if name not in contents:
            raise UserError(
                f"--input={path}: no {name}; expected {', '.join(wanted)} in it."
                f" Received: {', '.join(sorted(contents)) or 'none of them'}"
            )
        shown = f"{path}: {name}"
        batch = load_plain(contents.pop(name), shown)
        data = _entry(batch, "data", shown)
        if (
            not isinstance(data, np.ndarray)
            or data.dtype != np.uint8
            or data.ndim != 2
            or data.shape[1] != _PIXELS
        ):
            received = (
                f"{data.dtype} {list(data.shape)}"
                if isinstance(data, np.ndarray)
                else type(data).__name__
            )
            raise UserError(f"{shown}: its data must be uint8 [n, {_PIXELS}]. Received: {received}")
        images.append(data.reshape(-1, 3, 32, 32))
        labels = _entry(batch, layout.labels, shown)
        classes.append(checked_classes(shown, labels, len(data), layout.classes))
    names = _label_names(path, layout, contents)
    return DecodedImages(np.concatenate(images), np.concatenate(classes), names)


def _entry(batch: Any, key: str, shown: str) -> Any:
    if not isinstance(batch, dict) or key not in batch:
        keys = sorted(map(str, batch)) if isinstance(batch, dict) else type(batch).__name__
        raise UserError(f"{shown}: must be a dictionary with {key!r}. Received: {keys}")
    return batch[key]


def _label_names(path: Path, layout: _Layout, contents: dict[str, bytes]) -> tuple[str, ...]:
    """Return the classes' names; their numbers if the file of names is missing."""
    if layout.names_file not in contents:
        return tuple(str(number) for number in range(layout.classes))
    shown = f"{path}: {layout.names_file}"
    names = _entry(load_plain(contents[layout.names_file], shown), layout.names, shown)
    if (
        not isinstance(names, list)
        or len(names) != layout.classes
        or not all(isinstance(name, str) for name in names)
    ):
        raise UserError(
            f"{shown}: must name {layout.classes} classes. Received: {reprlib.repr(names)}"
        )
    return tuple(names)


def _contents(path: Path, layout: _Layout, wanted: tuple[str, ...]) -> dict[str, bytes]:
    """Return the bytes of each wanted file that is there."""
    if path.is_dir():
        folder = path / layout.folder if (path / layout.folder).is_dir() else path
        there = (name for name in wanted if (folder / name).is_file())
        return {name: read_bytes(folder / name, _MAX_BYTES) for name in there}
    if not path.exists():
        raise UserError(
            f"--input={path}: no such file or folder; expected {layout.folder} or its .tar.gz"
        )
    found: dict[str, bytes] = {}
    try:
        with (
            open_unpacked(path, _MAX_BYTES) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as archive,
        ):
            for member in archive:
                name = member.name.rpartition("/")[2]
                is_plain = member.isreg() and not member.issparse()
                data = archive.extractfile(member) if is_plain else None
                if data is not None and name in wanted:
                    found[name] = data.read()
    except UserError:
        raise
    except Exception as error:  # the libraries fail in any way on a damaged archive
        if isinstance(error, OSError) and error.errno:
            raise
        raise UserError(
            f"--input={path}: damaged, or neither a folder nor a .tar.gz: {error}"
        ) from error
    return found


def _open(kind: Literal["cifar10", "cifar100"], request: SourceRequest) -> ArraySource:
    with_labels = request["labels"] is not False
    return open_cifar(request["input"], kind, request["split"], with_labels)


_FLAGS = (replace(INPUT, note="a folder or .tar.gz"), SPLIT, LABELS, SHUFFLE)
CIFAR10_SPEC = SourceSpec(
    name="cifar10",
    description="CIFAR-10, its pickles for Python",
    flags=_FLAGS,
    open=functools.partial(_open, "cifar10"),
    in_memory=True,
)
CIFAR100_SPEC = SourceSpec(
    name="cifar100",
    description="CIFAR-100, its pickles for Python",
    flags=_FLAGS,
    open=functools.partial(_open, "cifar100"),
    in_memory=True,
)
