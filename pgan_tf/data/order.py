"""The order of images: a pure function of (seed, images_seen).

Every epoch is a permutation of the whole dataset, computed one record number at a time. So nothing
is stored, and a run that continues, or changes its batch size between stages, neither repeats nor
misses an image within an epoch.
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

# Record numbers are computed in blocks: one alone takes as long as hundreds.
_BLOCK = 8192
_BLOCKS_KEPT = 8


@dataclasses.dataclass(frozen=True)
class Shard:
    """One worker's share of every global batch.

    Worker i of n reads every n-th image of a global batch, beginning with the i-th. So the groups
    of minibatch stddev (sample j is in group j mod groups) hold the same images whatever n is.

    Attributes:
      index: of the worker, in 0..count-1.
      count: number of workers.
    """

    index: int = 0
    count: int = 1

    def of(self, batch: np.ndarray) -> np.ndarray:
        """Return the shard `[b / n, ...]` of something global `[b, ...]`.

        Raises:
          ValueError: the batch does not split evenly into `count` shards.
        """
        if len(batch) % self.count or not 0 <= self.index < self.count:
            raise ValueError(f"a batch of {len(batch)} has no {self}")
        return batch[self.index :: self.count]


WHOLE = Shard()


def records_at(positions: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Return the numbers of the records shown at given positions of training.

    Position p is in epoch p // count, whose permutation depends on the seed and the epoch alone.

    Args:
      positions: `[k]` int64, counted in images.
      count: number of images in the dataset.
      seed: of the order.

    Returns:
      `[k]` int64.
    """
    epochs, offsets = np.divmod(positions, count)
    blocks_per_epoch = -(-count // _BLOCK)
    blocks = epochs * blocks_per_epoch + offsets // _BLOCK
    records = np.empty_like(positions)
    for block in set(blocks.tolist()):
        epoch, number = divmod(block, blocks_per_epoch)
        shown = _block(number, count=count, seed=seed, epoch=epoch)
        chosen = blocks == block
        records[chosen] = shown[offsets[chosen] % _BLOCK]
    return records


@functools.lru_cache(_BLOCKS_KEPT)
def _block(number: int, *, count: int, seed: int, epoch: int) -> np.ndarray:
    """Return up to `_BLOCK` entries of an epoch's permutation from `number * _BLOCK` on."""
    start = number * _BLOCK
    offsets = np.arange(start, min(start + _BLOCK, count), dtype=np.int64)
    with tf.device("/CPU:0"):
        return tf.random.experimental.index_shuffle(
            offsets, seed=tf.constant([seed, epoch], tf.int64), max_index=count - 1
        ).numpy()
