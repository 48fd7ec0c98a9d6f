"""The interface between `export.py` and the formats, each of which one file declares."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from pgan_tf.runs.grids import Generate


@dataclasses.dataclass(frozen=True)
class ExportedGenerator:
    """The generator that is exported.

    Attributes:
      model: in float32.
      description: JSON values; see `GeneratorDescription`.
      file: its `.keras` file.
    """

    model: keras.Model
    description: Mapping[str, Any]
    file: Path


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Flags of pgan-export that only some formats have; see `ExportFormat.options`.

    Attributes:
      output_type: of the images' values, "float32" in [-1, 1], or "uint8".
      tflite_precision: of the weights, "float32" or "float16".
      runtime: directory of ONNX Runtime Web's npm package, to be copied; None for a CDN's copy.
      title: of a model card.
      license: of the generator, in its card: an identifier of the hub, a name or a URL.
      intended_use: of the generator, in its card.
      limitations: of the generator, in its card.
      data_description: of the training data, in the card.
      neighbors: whether the sheet of nearest training images is copied, if there is one.
      push_to: repository on the hub, `user/name`, to which a folder is uploaded; empty for none.
      private: whether that repository is private.
    """

    output_type: str = "float32"
    tflite_precision: str = "float32"
    runtime: str | None = None
    title: str = ""
    license: str = ""
    intended_use: str = ""
    limitations: str = ""
    data_description: str = ""
    neighbors: bool = True
    push_to: str = ""
    private: bool = False


@dataclasses.dataclass(frozen=True)
class DirectoryContent:
    """The content of a directory that is an export.

    Attributes:
      name: in messages, such as "a SavedModel".
      belongs: whether an entry is part of it; a directory with any other is never replaced.
    """

    name: str
    belongs: Callable[[Path], bool]


@dataclasses.dataclass(frozen=True)
class ExportFormat:
    """A format.

    Attributes:
      write: writes a generator to a path.
      read: reads an export back, as a function of arrays.
      file_name: of the file in a directory; empty if the directory itself is the export.
      directory: its content, if a directory is the export.
      options: names of the `ExportOptions` that the format has.
      check: refuses a generator, or options, before anything is written.
      read_truncated: reads an export back at a truncation, if the format has an input for it.
      tolerance: the largest difference from Keras, of images in [-1, 1].
      advise: returns lines for the user about an export that is in its place, such as what is left
        to do.
      publish: uploads an export that is in its place, with `push_to`; returns its URL.
    """

    write: Callable[[ExportedGenerator, Path, ExportOptions], None]
    read: Callable[[Path], Generate]
    file_name: str = ""
    directory: DirectoryContent | None = None
    options: tuple[str, ...] = ()
    check: Callable[[ExportedGenerator, ExportOptions], None] | None = None
    read_truncated: Callable[[Path, float], Generate] | None = None
    tolerance: Callable[[ExportOptions], float] = lambda options: 1e-4
    advise: Callable[[Path], list[str]] = lambda path: []
    publish: Callable[[Path, ExportOptions], str] | None = None
