"""Figures of both networks in training that the training itself does not need.

They are of some reals and of as many fakes, at a stage without a fade: how far the discriminator
tells reals, held-out reals and fakes apart; how much fakes vary; and how far the images of the
generator, and of its moving average, are from reals. Nothing of the training changes by them: the
networks run as in inference, and latents are drawn by a generator of random numbers of their own.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.config.intervals import MEASURED_IMAGES
from pgan_tf.config.phases import Phase
from pgan_tf.data.held_out import held_out_indices, trained_on
from pgan_tf.data.order import records_at
from pgan_tf.diagnosis.descriptors import distances, patch_distance, thumbnails
from pgan_tf.metrics.ms_ssim import MIN_SIDE, ms_ssim
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.grids import draw_latents, to_uint8
from pgan_tf.step.reals import prepare_reals
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.format import Pyramid
from tfrecords_tools.pictures import over_white

SEPARATION = "diagnosis/separation"
MEMORIZATION = "diagnosis/memorization"
VARIETY = "diagnosis/variety"
NEAREST = "diagnosis/nearest"
CLASS_VARIETY = "diagnosis/class_variety"
SIMILARITY = "diagnosis/similarity"
REAL_SIMILARITY = "diagnosis/real_similarity"
DISTANCE = "diagnosis/distance"
AVERAGE_DISTANCE = "diagnosis/average_distance"

# Reals are taken from so many times as many images that were shown last, to find some of a class.
_WINDOW = 16
_OF_A_CLASS = 4
# Pixels that pass through a network at a time, unless a minibatch has more.
_PIXELS_AT_ONCE = 1 << 17
# MS-SSIM, which takes as long as all other figures, only confirms what variety suspects.
_SUSPICIOUS_VARIETY = 0.5
_PAIRS = 16


class _Sample(NamedTuple):
    """Images at a stage.

    Attributes:
      records: `[n]` int64, their numbers in the pyramid.
      images: `[n h w c]` float32 in [-1, 1].
    """

    records: np.ndarray
    images: np.ndarray


class Measurements:
    """Takes figures of the networks of a training state."""

    def __init__(self, config: TrainConfig, pyramid: Pyramid, state: TrainState, *, replicas: int):
        """Measure nothing yet.

        Args:
          config: with the values filled in that come from the data.
          pyramid: the data.
          state: of the training.
          replicas: number of replicas that share a batch.
        """
        self._config = config
        self._pyramid = pyramid
        self._state = state
        self._replicas = replicas
        self._read = self._read_records
        if pyramid.is_remote:  # of which the same are read all through a stage
            self._read = functools.lru_cache(2)(self._read_records)

    def take(self, phase: Phase, images_seen: int) -> dict[str, float]:
        """Measure both networks as they are now.

        Args:
          phase: without a fade.
          images_seen: real images shown so far.

        Returns:
          Scalars by tag.
        """
        minibatch = phase.batch_size // self._replicas
        count = minibatch * -(-MEASURED_IMAGES // minibatch)
        reals = self._reals(phase, images_seen, count)
        held_out = self._held_out(phase, images_seen, count)
        latents = draw_latents(count, self._config.network.resolved_latent_size, seed=images_seen)
        labels = self._pyramid.labels_of(reals.records) if self._has_labels else None
        fakes, averaged = (
            self._generate(generator, latents, labels, phase)
            for generator in (self._state.generator, self._state.ema_generator)
        )
        return {
            **self._separation(phase, minibatch, reals.images, fakes, held_out),
            **self._variety(reals, fakes, labels),
            DISTANCE: patch_distance(reals.images, fakes, seed=images_seen),
            AVERAGE_DISTANCE: patch_distance(reals.images, averaged, seed=images_seen),
        }

    @property
    def _has_labels(self) -> bool:
        return self._config.network.label_size > 0

    def _reals(self, phase: Phase, images_seen: int, count: int) -> _Sample:
        """Choose reals among those shown last; with classes, four of each."""
        seen = phase.start if self._pyramid.is_remote else images_seen
        first = max(0, seen - _WINDOW * count)
        held_out = self._config.data.validation_images
        shown = records_at(
            np.arange(first, first + _WINDOW * count, dtype=np.int64),
            count=self._pyramid.count - held_out,
            seed=self._config.run.seed,
        )
        records = trained_on(
            np.unique(shown), num_images=self._pyramid.count, validation_images=held_out
        )
        chosen = np.resize(self._by_class(records, count, seed=seen), count)
        return _Sample(chosen, self._read(phase.resolution, tuple(chosen.tolist())))

    def _held_out(self, phase: Phase, images_seen: int, count: int) -> np.ndarray | None:
        """Return held-out reals `[n h w c]`, others each time; None if there are none."""
        records = held_out_indices(self._pyramid.count, self._config.data.validation_images)
        if not len(records):
            return None
        seen = phase.start if self._pyramid.is_remote else images_seen
        chosen = np.resize(np.random.default_rng(seen).permutation(records), count)
        return self._read(phase.resolution, tuple(chosen.tolist()))

    def _by_class(self, records: np.ndarray, count: int, *, seed: int) -> np.ndarray:
        """Choose up to `count` different records, as far as possible four of each class."""
        order = np.random.default_rng(seed).permutation(records)
        if not self._has_labels:
            return order[:count]
        classes = np.argmax(self._pyramid.labels_of(order), axis=1)
        groups = [order[classes == label][:_OF_A_CLASS] for label in dict.fromkeys(classes)]
        whole = [group for group in groups if len(group) == _OF_A_CLASS]
        together = np.concatenate([*whole, order])[:count]
        return np.array(list(dict.fromkeys(together.tolist())))

    def _read_records(self, resolution: int, records: tuple[int, ...]) -> np.ndarray:
        images = self._pyramid.level(resolution).read(np.array(records, np.int64))
        with tf.device("/CPU:0"):
            return prepare_reals(tf.constant(images), None, bits=self._pyramid.bits).numpy()

    def _generate(
        self, generator: Generator, latents: np.ndarray, labels: np.ndarray | None, phase: Phase
    ) -> np.ndarray:
        """`[n h w c]` float32."""
        at_once = max(phase.batch_size // self._replicas, _PIXELS_AT_ONCE // phase.pixels)
        images = []
        for start in range(0, len(latents), at_once):
            chosen = slice(start, start + at_once)
            inputs = [tf.constant(latents[chosen])]
            inputs += [None if labels is None else tf.constant(labels[chosen])]
            made = tf.cast(generator(*inputs, resolution=phase.resolution), tf.float32)
            images.append(made.numpy())  # so that a device holds few at a time
        return np.concatenate(images)

    def _separation(
        self,
        phase: Phase,
        minibatch: int,
        reals: np.ndarray,
        fakes: np.ndarray,
        held_out: np.ndarray | None,
    ) -> dict[str, float]:
        sets = [reals, fakes] + ([] if held_out is None else [held_out])
        of_reals, of_fakes, *of_held_out = self._scores(sets, minibatch, phase)
        above = np.sign(of_reals[:, np.newaxis] - of_fakes)
        figures = {SEPARATION: float((above.mean() + 1) / 2)}
        if of_held_out:
            gap = float(of_reals.mean() - of_fakes.mean())
            lost = float(of_reals.mean() - of_held_out[0].mean())
            # In the bounds of r_v: a small gap must not outweigh the measurements around it.
            figures[MEMORIZATION] = float(np.clip(lost / gap, -1, 1)) if gap > 0 else 0.0
        return figures

    def _scores(self, sets: Sequence[np.ndarray], minibatch: int, phase: Phase) -> list[np.ndarray]:
        """Score sets of images `[n h w c]` in minibatches of the size that training has."""
        images = np.concatenate(sets)
        most = max(1, _PIXELS_AT_ONCE // (minibatch * phase.pixels))
        scores = []
        for start in range(0, len(images), most * minibatch):
            some = tf.constant(images[start : start + most * minibatch])
            output = self._state.discriminator(
                some, resolution=phase.resolution, num_minibatches=len(some) // minibatch
            )
            scores.append(output.scores.numpy())
        return np.split(np.concatenate(scores), len(sets))

    def _variety(
        self, reals: _Sample, fakes: np.ndarray, labels: np.ndarray | None
    ) -> dict[str, float]:
        of_reals = distances(thumbnails(reals.images))
        of_fakes = distances(thumbnails(fakes))
        differ = reals.records[:, np.newaxis] != reals.records
        others = ~np.eye(len(fakes), dtype=bool)
        figures = {VARIETY: _ratio(of_fakes[others], of_reals[differ])}
        # Where there are fewer images, some are in the sample twice, and of a good generator's too.
        figures[NEAREST] = _ratio(_nearest(of_fakes, others), _nearest(of_reals, others))
        if labels is not None:
            classes = np.argmax(labels, axis=1)
            same = classes[:, np.newaxis] == classes
            if (same & differ).any():
                figures[CLASS_VARIETY] = _ratio(of_fakes[same & others], of_reals[same & differ])
        if min(figures.values()) < _SUSPICIOUS_VARIETY and min(fakes.shape[1:3]) >= MIN_SIDE:
            figures[SIMILARITY] = _similarity(fakes)
            figures[REAL_SIMILARITY] = _similarity(reals.images)
        return figures


def _nearest(distances: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the distance of each image to the one nearest to it.

    Args:
      distances: `[n n]`.
      counts: `[n n]` bool, pairs that count; at least one of each image.
    """
    return np.where(counts, distances, np.inf).min(axis=1)


def _ratio(of_fakes: np.ndarray, of_reals: np.ndarray) -> float:
    """Return the ratio of two means; 1 if reals do not vary at all."""
    mean = float(of_reals.mean()) if of_reals.size else 0.0
    return float(of_fakes.mean()) / mean if mean else 1.0


def _similarity(images: np.ndarray) -> float:
    """Return the mean MS-SSIM of pairs of images `[n h w c]` in [-1, 1], alpha on white."""
    levels = over_white(to_uint8(images[: 2 * _PAIRS]))
    half = len(levels) // 2
    return float(ms_ssim(levels[:half], levels[half : 2 * half]).mean())
