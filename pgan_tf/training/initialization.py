"""Data-dependent initialization of minibatch discrimination."""

import numpy as np
import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.data.held_out import trained_on
from pgan_tf.data.order import records_at
from pgan_tf.step.reals import prepare_reals
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.format import Pyramid

# Real images that minibatch discrimination is fitted to.
REALS = 500


def fit_to_first_reals(
    config: TrainConfig, schedule: Schedule, pyramid: Pyramid, state: TrainState
) -> None:
    """Fit minibatch discrimination, if the discriminator has it, to a new run's first reals.

    These are the first 500 reals that the run will show, or all that it trains on if those are
    fewer, in the first phase's form, compared as one minibatch. Networks of `--init_from` stay as
    they are.

    Args:
      config: the configuration, fitted to the data.
      schedule: the schedule of the run.
      pyramid: the data.
      state: the state of a run that has not begun.

    Raises:
      UserError: a record is damaged.
    """
    layer = state.discriminator.discrimination
    if layer is None or config.run.init_from:
        return
    validation_images = config.data.validation_images
    count = pyramid.count - validation_images
    positions = np.arange(min(REALS, count), dtype=np.int64)
    records = trained_on(
        records_at(positions, count=count, seed=config.run.seed),
        num_images=pyramid.count,
        validation_images=validation_images,
    )
    first = schedule.phases[0]
    # In batches as large as those of a step, which fit in memory.
    features = [
        _features(
            state, first, pyramid.level(first.resolution).read(records[i:][: first.batch_size])
        )
        for i in range(0, len(records), first.batch_size)
    ]
    layer.fit(np.concatenate(features))


def _features(state: TrainState, phase: Phase, images: np.ndarray) -> np.ndarray:
    """Return the input of minibatch discrimination, `[b n]`, for images `[b c h w]` uint8."""
    alpha = tf.constant(np.array(phase.alpha(0), np.float32)) if phase.fading else None
    reals = prepare_reals(tf.constant(images), alpha)
    features = state.discriminator.features(reals, resolution=phase.resolution, alpha=alpha)
    return tf.cast(features, tf.float32).numpy()
