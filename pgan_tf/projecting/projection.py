"""The search for the latents of one picture: Adam on the sphere that latents live on."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.generating.directions import on_sphere
from pgan_tf.projecting.distance import Distance, Target
from pgan_tf.runs.batch_size import count_features, fitting_batch_size
from pgan_tf.runs.grids import draw_latents

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-12
# Shares of the steps: the learning rate rises in the first, and falls in the last.
_RAMP_UP, _RAMP_DOWN = 0.05, 0.25
# Share of the steps in which the coarser scales fade away.
_COARSE_SHARE = 0.5
# Share of the steps after which, of several classes, only the best candidates go on.
_TRIAL_SHARE = 0.2
# Places on the way that are kept, at most.
_PATH_LENGTH = 100
# Gradients need what each layer computed, and as much again.
_PASSES = 3
_MAX_BATCH = 1024


class State(NamedTuple):
    """The search of several candidates at one step, each on its own; tensors, or arrays.

    Attributes:
      latents: `[b latent_size]`, of length sqrt(latent_size).
      mean: `[b latent_size]`, Adam's moving average of gradients.
      square: `[b latent_size]`, that of their squares.
      best: `[b latent_size]`, the latents of the smallest distance so far.
      distance: `[b]`, that distance.
    """

    latents: Any
    mean: Any
    square: Any
    best: Any
    distance: Any


@dataclasses.dataclass(frozen=True)
class Projection:
    """Latents found for a picture.

    Attributes:
      latents: `[latent_size]` float32, of length sqrt(latent_size).
      label: `[label_size]` float32, the label found with them; None without labels.
      label_row: the label's row among those that were tried; None without labels.
      distance: the weighted sum of the distances of pixels and of features.
      pixel_distance: the mean square of differences of pixels, of images in [-1, 1]; see
        `distance.Distances`.
      feature_distance: the relative distance of features; None without an extractor.
      start_distances: `[starts]`, the distances that the starts came to, sorted.
      path: `[n latent_size]` float32, latents on the way, from the start to those found.
      path_steps: `[n]` int64, the steps at which they were taken.
    """

    latents: np.ndarray
    label: np.ndarray | None
    label_row: int | None
    distance: float
    pixel_distance: float
    feature_distance: float | None
    start_distances: np.ndarray
    path: np.ndarray
    path_steps: np.ndarray


class Projector:
    """Finds latents whose images are near given pictures.

    Each start is a random latent vector that follows the gradient of the distance by Adam. The
    network normalizes latents, so that their length has no effect on images without labels, and
    with labels weakens or strengthens these, which no training has seen. So latents stay on the
    sphere of radius sqrt(latent_size): gradients and updates are projected onto its tangent, and
    each step ends on the sphere. Otherwise Adam's updates, which are not tangent, would lengthen
    latents at every step, and so slow down their rotation more and more.
    """

    def __init__(
        self,
        model: keras.Model,
        distance: Distance,
        *,
        steps: int = 300,
        starts: int = 8,
        learning_rate: float = 0.4,
        seed: int = 0,
        batch_size: int | None = None,
    ):
        """Prepare to search.

        Args:
          model: a generator that computes in float32.
          distance: between its images and a picture.
          steps: of Adam.
          starts: random latents to start from; the best result is kept.
          learning_rate: of Adam; about the angle in radians by which a step turns latents at most.
          seed: of the starts.
          batch_size: the most starts at a time; None for as many as fit into memory.
        """
        self._model = model
        self._distance = distance
        self._steps, self._starts, self._seed = steps, starts, seed
        self._learning_rate = learning_rate
        self._latent_size = int(model.inputs[0].shape[-1])
        self._batch_size = batch_size or fitting_batch_size(
            _PASSES * count_features(model), most=_MAX_BATCH
        )
        self._per_call = -(-steps // _PATH_LENGTH)
        self._advance = tf.function(self._take_steps, autograph=False, reduce_retracing=True)

    def work(self, num_labels: int) -> int:
        """Return the number of steps, of all batches, that `project` reports for some labels."""
        trial = self._trial_steps(num_labels)
        every, kept = (
            -(-candidates // self._batch_size)
            for candidates in (max(1, num_labels) * self._starts, self._starts)
        )
        return trial * every + (self._steps - trial) * kept

    def project(
        self,
        image: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        progress: Callable[[int], object] = lambda steps: None,
    ) -> Projection:
        """Find the latents of a picture.

        Args:
          image: `[h w c]` float32 in [-1, 1], of the generator's size.
          labels: `[n label_size]`, of which the best is kept; None without labels. With several,
            all starts of each are tried for a fifth of the steps, and the best go on.
          progress: called with numbers of steps that are done; see `work`.
        """
        target = self._distance.target(image)
        num_labels = 1 if labels is None else len(labels)
        if labels is None:
            labels = np.zeros([1, 0], np.float32)
        drawn = draw_latents(self._starts, self._latent_size, seed=self._seed)
        latents = np.tile(on_sphere(drawn).astype(np.float32), [num_labels, 1])
        rows = np.arange(num_labels).repeat(self._starts)
        zeros, far = np.zeros_like(latents), np.full([len(latents)], np.inf, np.float32)
        state = State(latents, zeros, zeros, latents, far)
        path: list[np.ndarray] = []
        trial = self._trial_steps(num_labels)
        for step in range(0, self._steps, self._per_call):
            if trial and step >= trial:
                trial, kept = 0, np.argsort(state.distance, kind="stable")[: self._starts]
                state, rows = State(*(array[kept] for array in state)), rows[kept]
                path = [latents[kept] for latents in path]
            path.append(state.latents)
            count = min(self._per_call, self._steps - step)
            state = self._called(state, labels[rows], target, step, count, progress)
        # Once more, for the distance of the last step's latents, which is not measured yet.
        state = self._called(state, labels[rows], target, self._steps, 1, lambda steps: None)
        best = int(np.argmin(state.distance))
        label = labels[rows[best]] if labels.shape[1] else None
        found = self._distance(self._images(state.best[[best]], labels[rows[[best]]]), target)
        return Projection(
            latents=state.best[best],
            label=label,
            label_row=None if label is None else int(rows[best]),
            distance=float(found.total[0]),
            pixel_distance=float(found.pixels[0]),
            feature_distance=float(found.features[0]) if self._distance.has_features else None,
            start_distances=np.sort(state.distance),
            path=np.stack([*(latents[best] for latents in path), state.best[best]]),
            path_steps=np.array([*range(0, self._steps, self._per_call), self._steps]),
        )

    def _trial_steps(self, num_labels: int) -> int:
        """Return the steps, of whole calls, that the starts of all labels take; 0 for one label."""
        if num_labels <= 1:
            return 0
        return self._per_call * max(1, round(_TRIAL_SHARE * self._steps / self._per_call))

    def _called(
        self,
        state: State,
        labels: np.ndarray,
        target: Target,
        step: int,
        count: int,
        progress: Callable[[int], object],
    ) -> State:
        """Take steps with every candidate, and read back where they are."""
        batches = []
        for begin in range(0, len(labels), self._batch_size):
            chosen = slice(begin, begin + self._batch_size)
            batch = State(*(tf.constant(array[chosen]) for array in state))
            ended = self._advance(
                batch, tf.constant(labels[chosen]), target, tf.constant(step), tf.constant(count)
            )
            batches.append(State(*(tensor.numpy() for tensor in ended)))
            progress(count)
        return State(*(np.concatenate(arrays) for arrays in zip(*batches, strict=True)))

    def _take_steps(
        self, state: State, labels: tf.Tensor, target: Target, step: tf.Tensor, count: tf.Tensor
    ) -> State:
        """Take `count` steps; runs as one graph, which never waits for the host."""

        def take(step: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            return step + 1, self._take_step(state, labels, target, tf.cast(step, tf.float32))

        last = step + count
        return tf.while_loop(lambda step, _: step < last, take, (step, state))[1]

    def _take_step(self, state: State, labels: tf.Tensor, target: Target, step: tf.Tensor) -> State:
        latents = state.latents
        coarse = tf.maximum(1.0 - step / (_COARSE_SHARE * self._steps), 0.0)
        with tf.GradientTape() as tape:
            tape.watch(latents)
            distances = self._distance(self._images(latents, labels), target)
            loss = tf.reduce_sum(distances.total + coarse * distances.coarse)
        gradient = _tangent(tape.gradient(loss, latents), latents)
        # A network of 16 bits or a user's features may overflow; then the candidate stays.
        gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
        mean = _BETA1 * state.mean + (1.0 - _BETA1) * gradient
        square = _BETA2 * state.square + (1.0 - _BETA2) * tf.square(gradient)
        unbiased = mean / (1.0 - _BETA1 ** (step + 1.0))
        deviation = tf.sqrt(square / (1.0 - _BETA2 ** (step + 1.0)))
        update = _tangent(unbiased / (deviation + _EPSILON), latents)
        moved = latents - self._learning_rate_at(step) * update
        radius = math.sqrt(self._latent_size)
        nearer = distances.total < state.distance
        return State(
            latents=radius * tf.math.l2_normalize(moved, axis=1),
            mean=mean,
            square=square,
            best=tf.where(nearer[:, tf.newaxis], latents, state.best),
            distance=tf.where(nearer, distances.total, state.distance),
        )

    def _learning_rate_at(self, step: tf.Tensor) -> tf.Tensor:
        """Return the learning rate, which rises linearly and falls as a cosine."""
        done = step / self._steps
        rise = tf.minimum((step + 1.0) / (_RAMP_UP * self._steps), 1.0)
        fall = 0.5 - 0.5 * tf.cos(math.pi * tf.clip_by_value((1.0 - done) / _RAMP_DOWN, 0.0, 1.0))
        return self._learning_rate * rise * fall

    def _images(self, latents: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        inputs = [latents, labels] if labels.shape[1] else latents
        return self._model(inputs, training=False)


def _tangent(vectors: tf.Tensor, latents: tf.Tensor) -> tf.Tensor:
    """Return the parts of `[b n]` vectors that are tangent to the sphere at latents."""
    radial = tf.reduce_sum(vectors * latents, axis=1, keepdims=True)
    square = tf.reduce_sum(tf.square(latents), axis=1, keepdims=True)
    return vectors - latents * radial / square
