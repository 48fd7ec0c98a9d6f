"""The saved generators to evaluate, and their run."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import (
    Fakes,
    Reals,
    generation_batch_size,
)
from pgan_tf.evaluation.replicated_generator import ReplicatedGenerator
from pgan_tf.runs.batch_size import count_features
from pgan_tf.runs.data_note import noted_base
from pgan_tf.runs.run_directory import CONFIG_NAME, NETWORKS_NAME, read_config
from pgan_tf.runs.saved_generator import (
    find_generator,
    find_snapshots,
    images_seen_of,
    load_generator,
    read_description,
)
from tfrecords_tools.command.flagfile import read_flagfile
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid, sha256_of
from tfrecords_tools.shape import Base, split_size
from tfrecords_tools.untrusted.zip_archive import open_keras_archive


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A saved generator.

    Attributes:
      file: its `.keras` file.
      images_seen: real images that it was trained on; None if unknown.
      final_resolution: the resolution that its run grows to; None if unknown.
      ema_length: of the moving average to evaluate; None for the generator as it was saved.
    """

    file: Path
    images_seen: int | None
    final_resolution: int | None
    ema_length: float | None = None

    @property
    def label(self) -> str:
        """Its name in tables and in names of results: `000150` of `generator-000150.keras`.

        With a moving average of another length, `000150-ema0.05`.
        """
        average = "" if self.ema_length is None else f"-ema{self.ema_length}"
        return self.file.stem.removeprefix("generator-") + average

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of its file."""
        return sha256_of(self.file)

    def check(self, reals: Reals, labels: Reals) -> None:
        """See `check_snapshot`."""
        check_snapshot(self, reals, labels)

    def load(
        self,
        reals: Reals,
        labels: Reals,
        *,
        strategy: tf.distribute.Strategy,
        batch_size: int | None,
        count: int,
    ) -> Fakes:
        """See `load_fakes`."""
        return load_fakes(
            self, reals, labels, strategy=strategy, batch_size=batch_size, count=count
        )


@dataclasses.dataclass(frozen=True)
class SnapshotSelection:
    """The generators to evaluate and their run.

    Attributes:
      path: as it was given.
      snapshots: the generators, oldest first; at least one.
      run: the run directory that they belong to; None for a file outside of a run.
      config: of the run, or None.
    """

    path: Path
    snapshots: tuple[Snapshot, ...]
    run: Path | None
    config: TrainConfig | None

    @property
    def home(self) -> Path:
        """Default directory for results: the run directory, or that of the file."""
        return self.run or self.path.parent

    @property
    def final_resolution(self) -> int | None:
        """The resolution that the generators grow to; None if unknown."""
        if self.config is not None and self.config.network.resolution:
            return self.config.network.resolution
        return self.snapshots[-1].final_resolution

    @property
    def base(self) -> Base | None:
        """The base of the images of the generators' run; None outside of a run."""
        if self.run is None or self.config is None:
            return None
        return noted_base(read_flagfile(self.run / CONFIG_NAME).splitlines())

    @functools.cached_property
    def final_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images that the generators grow to.

        Raises:
          UserError: the newest can't be loaded, if it has to be to know.
        """
        newest = self.snapshots[-1]
        channels, base = read_description(newest.file).channels, self.base
        if self.final_resolution is None or channels is None or base is None:
            model = load_generator(newest.file)
            height, width, channels = map(int, model.outputs[0].shape[1:])
            split = split_size(height, width)
            if split is None or self.final_resolution is None:
                return height, width, channels
            base = split[0]
        return *base.size_at(self.final_resolution), channels

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes that the generators draw, in the order of their labels, if known."""
        described = read_description(self.snapshots[-1].file)
        if described.label_names or not described.label_size:
            return tuple(described.label_names or ()) or None
        return tuple(map(str, range(described.label_size)))

    @property
    def count(self) -> None:
        """The most images that there are: a generator draws any number."""

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of results about the generators: none."""
        return {}

    def label_source(self, reals: Reals) -> Reals:
        """Return the images whose labels conditional generators draw: the reals, if they have any.

        Of files without classes, the data that the run was trained on, if they are still there.
        """
        if reals.images.label_size or isinstance(reals.images, PyramidImages):
            return reals
        if self.config is None or "://" in self.config.data.data_dir:
            return reals
        try:
            pyramid = open_pyramid(self.config.data.data_dir)
        except UserError:  # moved, say
            return reals
        if not pyramid.label_size or read_description(self.snapshots[-1].file).label_size == 0:
            return reals
        images = PyramidImages(pyramid, pyramid.resolution)
        return Reals(images, seed=reals.seed, mirror=False)


def select_snapshots(
    network: str | os.PathLike, *, all_snapshots: bool, ema_length: float | None = None
) -> SnapshotSelection:
    """Find the generators to evaluate.

    Args:
      network: a run directory or a `.keras` file.
      all_snapshots: select every generator that the run has saved, instead of the newest.
      ema_length: of the moving average; see `load_generator`.

    Raises:
      UserError: there are none.
    """
    path = Path(network)
    if all_snapshots and ema_length is not None:
        raise UserError("--ema_length goes with one generator: leave out --all_snapshots")
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
    snapshots = tuple(_snapshot_at(file, ema_length) for file in files)
    return SnapshotSelection(path, snapshots, run, config)


def _run_of(file: Path) -> Path | None:
    """Return the run directory that a saved generator lies in, if it does."""
    home = file.absolute().parent
    if home.name == NETWORKS_NAME and read_config(home.parent) is not None:
        return home.parent
    return None


def _snapshot_at(file: Path, ema_length: float | None) -> Snapshot:
    final_resolution = read_description(file).final_resolution
    return Snapshot(file, images_seen_of(file), final_resolution, ema_length)


def load_fakes(
    snapshot: Snapshot,
    reals: Reals,
    labels: Reals,
    *,
    strategy: tf.distribute.Strategy,
    batch_size: int | None,
    count: int,
) -> Fakes:
    """Load a generator on all replicas, ready to generate images.

    Args:
      snapshot: the saved generator.
      reals: the images to compare with; the fakes take their seed.
      labels: the images from whose labels those of the fakes are drawn.
      strategy: to generate with.
      batch_size: images per replica at a time; None for `generation_batch_size`.
      count: number of images that will be generated.

    Raises:
      UserError: it can't be loaded, or does not fit the data.
    """
    with strategy.scope():
        model = load_generator(snapshot.file, ema_length=snapshot.ema_length)
    latent_size = int(model.inputs[0].shape[-1])
    label_size = int(model.inputs[1].shape[-1]) if len(model.inputs) > 1 else 0
    height, width, channels = map(int, model.outputs[0].shape[1:])
    _check_channels(channels, reals=reals, file=snapshot.file)
    _check_labels(label_size, labels=labels, file=snapshot.file)
    _check_shape(height, width, reals=reals, file=snapshot.file)
    generate = ReplicatedGenerator(
        _as_call(model),
        strategy,
        batch_size=batch_size
        or min(generation_batch_size(height * width, count_features(model)), count),
        label_size=label_size,
    )
    return Fakes(
        origin=str(snapshot.file),
        generate=generate,
        latent_size=latent_size,
        labels=labels.draw_labels(count) if label_size else None,
        size=reals.size,
        seed=reals.seed,
        batch_size=generate.batch_size,
        as_rgb=reals.channels == 3,
    )


def _as_call(model: keras.Model) -> Any:
    def call(latents: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        return model(latents if labels is None else [latents, labels], training=False)

    return call


def check_snapshot(snapshot: Snapshot, reals: Reals, labels: Reals) -> None:
    """Check, without loading it, that a generator's file is whole and that it fits the data.

    Raises:
      UserError: its file is damaged, or its description does not fit the data.
    """
    file = snapshot.file
    with open_keras_archive(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise UserError(f"{file}: damaged: the checksum of {damaged} in it is wrong")
    described = read_description(file)
    if described.resolution is not None:
        _check_resolution(described.resolution, reals=reals, file=file)
    if described.channels is not None and described.label_size is not None:
        _check_channels(described.channels, reals=reals, file=file)
        _check_labels(described.label_size, labels=labels, file=file)


def _check_shape(height: int, width: int, *, reals: Reals, file: Path) -> None:
    """Refuse a generator of images of another shape than the reals', or of larger ones."""
    found, wanted = split_size(height, width), split_size(*reals.size)
    if found is None or wanted is None or found[0] != wanted[0]:
        raise UserError(
            f"{file}: draws {width}x{height}, but {reals.images.path} has images of another "
            f"shape, {reals.images.size_text}"
        )
    _check_resolution(found[1], reals=reals, file=file)


def _check_resolution(resolution: int, *, reals: Reals, file: Path) -> None:
    """Refuse a generator of larger images than the reals, of the same shape."""
    wanted = split_size(*reals.size)
    if wanted is not None and resolution > wanted[1]:
        raise UserError(
            f"{file}: draws {wanted[0].text_at(resolution)}, more than what it is "
            f"compared with, {reals.images.size_text} of {reals.images.path}"
        )


def _check_channels(channels: int, *, reals: Reals, file: Path) -> None:
    """Refuse a generator of other channels than a pyramid; files have any, and become RGB."""
    data = reals.images
    if channels != data.channels and isinstance(data, PyramidImages):
        raise UserError(f"{file}: draws {channels} channel(s), but {data.path} has {data.channels}")


def _check_labels(label_size: int, *, labels: Reals, file: Path) -> None:
    """Refuse a generator that takes other labels than there are to draw from."""
    data = labels.images
    if label_size and label_size != data.label_size:
        if not isinstance(data, PyramidImages):
            raise UserError(
                f"{file}: takes labels of {label_size} components, but the images of {data.path} "
                "have none; they need a folder for each class, named after it"
            )
        raise UserError(
            f"{file}: takes labels of {label_size} components, but those of {data.path} "
            f"have {data.label_size or 'none: it has no labels'}"
        )
