"""The kinds of images that the two sides of a comparison name; asked before TensorFlow is imported.

A side is a generator, a pyramid, or the image files of a folder or archive.
"""

import enum
import os
from pathlib import Path

from pgan_tf.runs.run_directory import CONFIG_NAME, NETWORKS_NAME, require_network
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import user_path
from tfrecords_tools.format.pyramid import require_pyramid
from tfrecords_tools.image_files.archives import is_archive
from tfrecords_tools.image_files.decoding import EXTENSIONS
from tfrecords_tools.image_files.files import open_folder

# Anything that `--network` may name, for errors.
EXPECTED = "run directory, .keras file, folder, archive or pyramid of images"


class Kind(enum.Enum):
    """A kind of images."""

    GENERATOR = "generator"
    PYRAMID = "pyramid"
    FILES = "image files"


def kind_of_network(network: str | os.PathLike) -> Kind:
    """Return the kind of images that `--network` names.

    A run directory, or any directory with a `.keras` file, is a generator, whatever else it holds.

    Raises:
      UserError: there is nothing of any kind.
    """
    path = require_network(network, EXPECTED)
    if path.is_file():
        return Kind.FILES if is_archive(path) else Kind.GENERATOR
    if _may_hold_generators(path):
        return Kind.GENERATOR
    if _holds_pyramid(path):
        return Kind.PYRAMID
    found = open_folder(path, EXTENSIONS, "network")
    if not found.names:
        raise UserError(
            f"{path}: no generator in it; expected networks/generator-NNNNNN.keras, or images, or "
            f"a pyramid of them. Received: {_other_files(found.ignored)}"
        )
    return Kind.FILES


def kind_of_data(data_dir: str | os.PathLike) -> Kind:
    """Return the kind of images that `--data_dir` names: a pyramid or image files.

    Raises:
      UserError: it names neither.
    """
    if "://" in os.fspath(data_dir):
        return Kind.PYRAMID
    path = user_path(data_dir)
    if path.is_file():
        if is_archive(path):
            return Kind.FILES
        raise UserError(
            f"--data_dir={path}: expected a pyramid, or a folder or archive of images. Received: "
            + ("a generator, which goes to --network" if path.suffix == ".keras" else "a file")
        )
    if path.is_dir() and not _holds_pyramid(path):
        if _may_hold_generators(path):
            raise UserError(
                f"--data_dir={path}: expected a pyramid, or a folder or archive of images. "
                "Received: generators, which go to --network"
            )
        found = open_folder(path, EXTENSIONS, "data_dir")
        if found.names:
            return Kind.FILES
        raise UserError(
            f"--data_dir={path}: no pyramid in it, and no images. Received: "
            f"{_other_files(found.ignored)}"
        )
    require_pyramid(os.fspath(path))
    return Kind.PYRAMID


def _may_hold_generators(directory: Path) -> bool:
    if (directory / CONFIG_NAME).exists():
        return True
    return any(directory.glob("*.keras")) or any((directory / NETWORKS_NAME).glob("*.keras"))


def _holds_pyramid(directory: Path) -> bool:
    return any(".tfrecords" in name for name in os.listdir(directory))


def _other_files(count: int) -> str:
    return f"{count} other files" if count else "an empty folder"
