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
    title: str = ""
    license: str = ""
    intended_use: str = ""
    limitations: str = ""
    data_description: str = ""
    neighbors: bool = True
    push_to: str = ""
    private: bool = False
