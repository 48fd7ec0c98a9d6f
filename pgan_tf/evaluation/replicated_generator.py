"""A generator on all replicas of a strategy, batch by batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pgan_tf.distribution.strategy import local_replicas
from pgan_tf.evaluation.images import GeneratedImages
from pgan_tf.runs.grids import quantize
from pgan_tf.step.microbatches import split_over_cores


class ReplicatedGenerator:
    """A generator that splits every batch over the replicas of a strategy.

    Batches are filled up to one size, so that one graph serves all of them. Of several workers,
    only the calling one generates.
    """

    def __init__(
        self,
        call: Callable[[tf.Tensor, tf.Tensor | None], Any],
        strategy: tf.distribute.Strategy,
        *,
        batch_size: int,
        label_size: int,
    ):
        """Build no graph yet.

        Args:
          call: (latents, labels or None) -> images, on one replica.
          strategy: the strategy whose replicas have the weights.
          batch_size: images per replica at a time.
          label_size: components of a label, 0 without labels.
        """
        self._strategy = strategy
        local = local_replicas(strategy)
        # `strategy.run` may need all workers, and the others don't call this. So one of several
        # workers generates by itself, on its first device.
        self._distributed = local == strategy.num_replicas_in_sync
        self._replicas = local if self._distributed else 1
        self._replica_size = batch_size
        self._label_size = label_size

        def on_replica(latents: tf.Tensor, labels: tf.Tensor) -> Any:
            return call(latents, labels if label_size else None)

        on_cores = split_over_cores(on_replica, batch_size, replicas=self._replicas)

        def quantized(latents: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.cast(on_cores(latents, labels), tf.float32)
            return quantize(images), tf.reduce_all(tf.math.is_finite(images), axis=[1, 2, 3])

        @tf.function
        def run(latents: Any, labels: Any) -> Any:
            if self._distributed:
                return strategy.run(quantized, (latents, labels))
            return quantized(latents, labels)

        self._run = run
        self._graph: Callable[[Any, Any], Any] | None = None

    @property
    def batch_size(self) -> int:
        """Images of a full batch, over all replicas."""
        return self._replica_size * self._replicas

    def __call__(self, latents: np.ndarray, labels: np.ndarray | None) -> GeneratedImages:
        """Generate up to `batch_size` images of latents `[b latent_size]` and labels or None."""
        count = len(latents)
        if labels is None:
            labels = np.zeros([count, self._label_size], np.float32)
        inputs = self._split(latents), self._split(labels)
        if self._graph is None:
            # Calling `run` itself, TensorFlow would warn of a new graph for every generator.
            self._graph = self._run.get_concrete_function(*inputs)
        return GeneratedImages(*(self._gather(output)[:count] for output in self._graph(*inputs)))

    def _gather(self, output: Any) -> np.ndarray:
        """Return the rows of all replicas."""
        if not self._distributed:
            return output.numpy()
        shards = self._strategy.experimental_local_results(output)
        return np.concatenate([shard.numpy() for shard in shards])

    def _split(self, array: np.ndarray) -> Any:
        """Fill an array up to a full batch, and deal consecutive rows to the replicas."""
        filled = np.resize(array, (self.batch_size, array.shape[1]))

        if not self._distributed:
            return tf.constant(filled)

        def shard(context: Any) -> tf.Tensor:
            start = context.replica_id_in_sync_group * self._replica_size
            return tf.constant(filled[start : start + self._replica_size])

        return self._strategy.experimental_distribute_values_from_function(shard)
