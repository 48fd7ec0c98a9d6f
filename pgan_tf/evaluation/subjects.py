"""What is evaluated: saved generators, their run, and the resolution they grow to."""

import dataclasses
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.evaluation.images import Fakes, OnReplicas, Reals, default_batch_size
from pgan_tf.runs.run_directory import read_config
from pgan_tf.runs.saved_generator import (
    find_generator,
    find_snapshots,
    images_seen_of,
    load_generator,
    read_description,
)
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid


@dataclasses.dataclass(frozen=True)
class Subject:
    """A saved generator.

    Attributes:
      file: its `.keras` file.
      images_seen: when it was saved; None where nothing says so.
      final_resolution: what its run grows to, in pixels; None where nothing says so.
    """

    file: Path
    images_seen: int | None
    final_resolution: int | None

    @property
    def label(self) -> str:
        """What its files are named by: `000150` of `generator-000150.keras`, else the name."""
        return self.file.stem.removeprefix("generator-")

    @property
    def kimg(self) -> float | None:
        return None if self.images_seen is None else self.images_seen / 1000


@dataclasses.dataclass(frozen=True)
class Subjects:
    """Generators to evaluate, oldest first, and their run.

    Attributes:
      path: as it was given.
      generators: at least one.
      run: the run directory they belong to, or None for a lone file.
      config: of the run.
    """

    path: Path
    generators: tuple[Subject, ...]
    run: Path | None
    config: TrainConfig | None

    @property
    def home(self) -> Path:
        """Where results go: the run directory, or where the lone file is."""
        return self.run or self.path.parent

    @property
    def final_resolution(self) -> int | None:
        """The run's final resolution, or what a lone file says of it."""
        if self.config is not None and self.config.network.resolution:
            return self.config.network.resolution
        return self.generators[-1].final_resolution


def find_subjects(network: str | os.PathLike, *, all_snapshots: bool) -> Subjects:
    """The generators that a command line means.

    Args:
      network: a run directory or a `.keras` file.
      all_snapshots: every generator the run has saved, instead of the newest.

    Raises:
      UserError: there are none.
    """
    path = Path(network)
    if all_snapshots:
        if not path.is_dir():
            raise UserError(f"--all_snapshots needs a run directory. Received: --network={path}")
        files = find_snapshots(path)
        if not files:
            raise UserError(
                f"{path}: no generators to follow; expected networks/generator-NNNNNN.keras"
            )
    else:
        files = [find_generator(path)]
    run = path if path.is_dir() else _run_of(path)
    config = None if run is None else read_config(run)
    return Subjects(path, tuple(_describe(file) for file in files), run, config)


def _run_of(file: Path) -> Path | None:
    """The run directory that a saved generator lies in, if it does."""
    home = file.absolute().parent
    if home.name == "networks" and read_config(home.parent) is not None:
        return home.parent
    return None


def _describe(file: Path) -> Subject:
    return Subject(file, images_seen_of(file), read_description(file).final_resolution)


def load_fakes(
    subject: Subject,
    *,
    reals: Reals,
    strategy: tf.distribute.Strategy,
    batch_size: int | None,
    count: int,
) -> Fakes:
    """A generator on all replicas, ready to be asked for images.

    Args:
      subject: the saved generator.
      reals: what its images will be held against; their labels are used, and their seed.
      strategy: where it runs.
      batch_size: images a replica at a time; None for what fits the resolution.
      count: how many images will be asked for.

    Raises:
      UserError: it can't be loaded, or does not fit the data.
    """
    with strategy.scope():
        model = load_generator(subject.file)
    latent_size = int(model.inputs[0].shape[-1])
    label_size = int(model.inputs[1].shape[-1]) if len(model.inputs) > 1 else 0
    resolution, channels = (int(model.outputs[0].shape[axis]) for axis in (1, 3))
    _check_fit(resolution, channels, label_size, reals=reals, file=subject.file)
    generate = OnReplicas(
        _as_call(model),
        strategy,
        batch_size=batch_size or default_batch_size(resolution),
        label_size=label_size,
    )
    return Fakes(
        origin=str(subject.file),
        generate=generate,
        latent_size=latent_size,
        labels=reals.draw_labels(count) if label_size else None,
        resolution=reals.resolution,
        seed=reals.seed,
        batch_size=generate.batch_size,
    )


def _as_call(model: keras.Model) -> Any:
    def call(latents: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        return model(latents if labels is None else [latents, labels], training=False)

    return call


def check_subject(subject: Subject, reals: Reals) -> None:
    """Makes sure, without loading it, that a generator is whole and fits the data.

    Raises:
      UserError: its file is damaged, or what it says of itself does not fit.
    """
    file = subject.file
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise UserError(f"{file}: not a .keras file: {error}") from error
    if damaged is not None:
        raise UserError(f"{file}: damaged: the checksum of {damaged} in it is wrong")
    described = read_description(file)
    sizes = [described.resolution, described.channels, described.label_size]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        _check_fit(*known, reals=reals, file=file)


def _check_fit(
    resolution: int, channels: int, label_size: int, *, reals: Reals, file: Path
) -> None:
    pyramid: Pyramid = reals.pyramid
    if resolution > reals.resolution:
        raise UserError(
            f"{file}: draws {resolution}x{resolution}, more than what it is compared with, "
            f"{reals.resolution}x{reals.resolution} of {pyramid.directory}"
        )
    if channels != pyramid.channels:
        raise UserError(
            f"{file}: draws {channels} channel(s), but {pyramid.directory} has {pyramid.channels}"
        )
    if label_size and label_size != pyramid.label_size:
        raise UserError(
            f"{file}: takes labels of {label_size} components, but those of {pyramid.directory} "
            f"have {pyramid.label_size or 'none: it has no labels'}"
        )
