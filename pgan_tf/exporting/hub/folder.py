"""The format `hub`: a folder with a generator in plain Keras and all that its users need."""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging
from PIL import Image

import pgan_tf
from pgan_tf.exporting.export_format import (
    DirectoryContent,
    ExportedGenerator,
    ExportFormat,
    ExportOptions,
)
from pgan_tf.exporting.hub.card import CardText, gaps, write_card
from pgan_tf.exporting.hub.facts import Facts, collect_facts
from pgan_tf.exporting.hub.upload import check_push, push_folder
from pgan_tf.exporting.plain_keras import as_plain_keras
from pgan_tf.generating.sampler import Sampler
from pgan_tf.runs.grids import Generate, draw_latents, grid_size, make_grid, save_png, to_display
from pgan_tf.runs.hub import GENERATOR_NAME
from pgan_tf.runs.saved_generator import (
    GeneratorDescription,
    as_function,
    load_generator,
    save_generator,
)
from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.json_file import parse_object, read_object
from tfrecords_tools.untrusted.regular_file import (
    MAX_TEXT_BYTES,
    open_regular,
    read_bytes,
    read_text,
)
from tfrecords_tools.untrusted.zip_archive import open_keras_archive

CARD_NAME, CONFIG_NAME, EXAMPLE_NAME, SAMPLES_NAME = (
    "README.md",
    "config.json",
    "example.py",
    "samples.png",
)
# Members of a .keras archive, which `keras.saving.load_model("hf://user/name")` reads as files.
_KERAS_FILES = ("metadata.json", "model.weights.h5")
_NEIGHBORS = "neighbors-*.png"
# The key of `config.json` beside Keras's own, which Keras passes over.
KEY = "pgan_tf"
_FORMAT = 1
_MAX_WIDTH = 2048  # of the sheet of samples, in pixels
_MAX_ROWS_OF_CLASSES = 16


def _write(generator: ExportedGenerator, path: Path, options: ExportOptions) -> None:
    description = GeneratorDescription.from_json(generator.description)
    plain = as_plain_keras(generator.model)
    file = path / GENERATOR_NAME
    save_generator(file, plain, description)
    facts = collect_facts(
        generator.file, plain, description, generator.description.get("ema_length")
    )
    rows = _write_samples(file, path / SAMPLES_NAME)
    neighbors = _copy_neighbors(facts, path) if options.neighbors else ""
    card = write_card(
        facts,
        CardText(
            title=options.title,
            repository=options.push_to,
            license=options.license,
            intended_use=options.intended_use,
            limitations=options.limitations,
            data_description=options.data_description,
        ),
        versions=", ".join(f"{name} {version}" for name, version in _versions().items()),
        sample_rows=rows,
        neighbors=neighbors,
    )
    (path / CARD_NAME).write_text(card, encoding="utf-8")
    (path / EXAMPLE_NAME).write_bytes(_read(Path(__file__).with_name(EXAMPLE_NAME)))
    with open_keras_archive(file) as archive:
        for name in _KERAS_FILES:
            archive.extract(name, path)
        config = parse_object(archive.read(CONFIG_NAME), f"{file}: {CONFIG_NAME} in it")
    config[KEY] = _about(facts, hashlib.sha256(card.encode()).hexdigest())
    (path / CONFIG_NAME).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    return {
        "pgan_tf": pgan_tf.__version__,
        "keras": keras.version(),
        "tensorflow": importlib.metadata.version("tensorflow"),
    }


def _about(facts: Facts, card_digest: str) -> dict[str, Any]:
    """Return the object that `config.json` has beside Keras's own, for programs."""
    return {
        "format": _FORMAT,
        "architecture": "progressive_gan_generator",
        "height": facts.height,
        "width": facts.width,
        "channels": facts.channels,
        "bits": facts.description.bits or 8,
        "latent_size": facts.latent_size,
        "label_size": facts.label_size,
        "class_names": list(facts.class_names),
        "label_rows": [list(map(float, row)) for row in facts.description.label_rows or ()],
        "parameters": facts.parameters,
        "kimg": facts.kimg,
        "data": {"name": facts.data.name, "count": facts.data.count, "source": facts.data.source},
        "metrics": {row.label: row.value for row in facts.metrics},
        "versions": _versions(),
        # By which an edited card is known, and never replaced.
        "card_sha256": card_digest,
    }


def _write_samples(file: Path, path: Path) -> str:
    """Draw a sheet of samples; return what each of its rows shows, if that is one class."""
    sampler = Sampler(file)
    names, labels = sampler.labels()
    by_row = 0 < len(names) <= _MAX_ROWS_OF_CLASSES
    columns, rows = grid_size(sampler.height, sampler.width, len(names))
    columns, rows = min(columns, 12), rows if by_row else min(rows, 8)
    count = columns * rows
    latents = draw_latents(count, sampler.latent_size, seed=0)
    if labels is not None:
        turns = np.arange(count) // columns if by_row else np.arange(count)
        labels = labels[turns % len(labels)]
    images = np.stack([to_display(image) for image in sampler.draw(latents, labels)])
    sheet = make_grid(images, columns)
    if sheet.shape[1] > _MAX_WIDTH:
        size = (_MAX_WIDTH, max(1, round(sheet.shape[0] * _MAX_WIDTH / sheet.shape[1])))
        squeezed = Image.fromarray(sheet[:, :, 0] if sheet.shape[2] == 1 else sheet)
        sheet = np.asarray(squeezed.resize(size, Image.Resampling.LANCZOS))
        sheet = sheet.reshape([*sheet.shape[:2], -1])
    save_png(path, sheet)
    return "a class, in their order" if by_row else ""


def _copy_neighbors(facts: Facts, path: Path) -> str:
    """Copy the sheet of neighbors as an image, and return its name; empty without one."""
    sheet = facts.neighbors
    if sheet is None:
        return ""
    try:
        with open_regular(sheet) as opened, Image.open(opened, formats=["PNG"]) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        logging.warning("%s: left out, no picture that can be read: %s", sheet, error)
        return ""
    save_png(path / sheet.name, pixels)
    return sheet.name


def _belongs(path: Path) -> bool:
    """Return whether an entry is one that an export wrote; a card that was edited is not."""
    if not path.is_file() or path.is_symlink():
        return False
    if path.name == CARD_NAME:
        return _card_digest(path.parent) == hashlib.sha256(_read(path)).hexdigest()
    own = (GENERATOR_NAME, CONFIG_NAME, EXAMPLE_NAME, SAMPLES_NAME, *_KERAS_FILES)
    return path.name in own or path.match(_NEIGHBORS)


def _read(path: Path) -> bytes:
    return read_bytes(path, MAX_TEXT_BYTES)


def _card_digest(folder: Path) -> str | None:
    try:
        about = read_object(folder / CONFIG_NAME).get(KEY)
    except (OSError, UserError):
        return None
    return about.get("card_sha256") if isinstance(about, Mapping) else None


def _read_back(path: Path) -> Generate:
    return as_function(load_generator(path / GENERATOR_NAME))


def _check(generator: ExportedGenerator, options: ExportOptions) -> None:
    if options.private and not options.push_to:
        raise UserError("--private goes with --push_to")
    if options.push_to:
        check_push(options.push_to)


def _advise(path: Path) -> list[str]:
    card = path / CARD_NAME
    return [f"{card}: to be filled in: {gap}" for gap in gaps(read_text(card))]


def _publish(path: Path, options: ExportOptions) -> str:
    names = [name for name in os.listdir(path) if _is_published(name)]
    return push_folder(path, names, options.push_to, private=options.private)


def _is_published(name: str) -> bool:
    own = (GENERATOR_NAME, CARD_NAME, CONFIG_NAME, EXAMPLE_NAME, SAMPLES_NAME, *_KERAS_FILES)
    return name in own or Path(name).match(_NEIGHBORS)


FORMAT = ExportFormat(
    write=_write,
    read=_read_back,
    directory=DirectoryContent("an export for the hub, as it was written", _belongs),
    options=(
        *("title", "license", "intended_use", "limitations", "data_description", "neighbors"),
        *("push_to", "private"),
    ),
    check=_check,
    advise=_advise,
    publish=_publish,
)
