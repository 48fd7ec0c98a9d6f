"""A process of test_workers.py: train as one of several workers, or alone, and save the state.

Its arguments: DISTRIBUTION PRECISION STEPS DATA OUTPUT [damaged] [calls] [compiled] [held_out].

`damaged` makes one weight of this worker NaN, as a hardware fault would. `calls` takes up to three
steps per call. `compiled` compiles with XLA. `held_out` holds out images, whose scores ADA follows.
"""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from pgan_tf.config import AugmentConfig, DataConfig
from pgan_tf.config.intervals import group_into_calls
from pgan_tf.config.phases import Schedule
from pgan_tf.distribution.cluster import ALONE, read_cluster
from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.agreement import share_state, wait_for_all
from pgan_tf.training.feeding import read_own_batches, to_replicas
from pgan_tf.training.prepare import PreparedRun
from tests.helpers.tiny import tiny_config
from tfrecords_tools.format import open_pyramid


def main(arguments: list[str]) -> None:
    distribution, precision, steps, data_dir, output, *options = arguments
    cluster = read_cluster() if distribution == "multi_worker" else ALONE
    strategy = make_strategy(distribution, cluster=cluster)
    steps_per_call = 3 if "calls" in options else 1
    config = tiny_config(
        precision=precision,
        label_size=3,
        channels=1,
        steps_per_call=steps_per_call,
        jit_compile="on" if "compiled" in options else "off",
    )
    if "held_out" in options:
        augment = AugmentConfig(augment="ada", augment_pipe="b")
        config = dataclasses.replace(config, data=DataConfig(validation_images=8), augment=augment)
    schedule = Schedule(dataclasses.replace(config.schedule, total_kimg=1.0), 8)
    run = PreparedRun(config, open_pyramid(data_dir), schedule, cluster, strategy)
    state = TrainState(config, strategy)
    if not cluster.is_chief:
        # As if this worker had started differently: the chief's state must replace its own.
        for variable in state.variables().values():
            variable.assign(tf.zeros_like(variable) - 3)
        state.load_counters()
    share_state(strategy, cluster, state)
    if "damaged" in options:
        bias = state.discriminator.variables["4x4_dense1/bias"]
        bias.assign(np.full(bias.shape, np.nan))
    batches = read_own_batches(run, schedule.steps())
    skipped: list[float] = []
    train_step, phase = None, None
    for call in group_into_calls(itertools.islice(batches, int(steps)), config, on_gpus=False):
        step, _ = call[-1]
        if step.phase != phase:
            phase = step.phase
            state.enter_phase(phase.index, reset_optimizers=True)
            train_step = TrainStep(
                state, config, strategy, resolution=phase.resolution, fading=phase.fading
            )
        inputs = to_replicas(strategy, state, call, steps_per_call=steps_per_call)
        result = train_step(inputs)
        column = result.names.index("updates/discriminator_skipped")
        skipped.extend(result.scalars[:, column].tolist())
        state.images_seen = step.images_seen_after
    state.store_counters()
    arrays = {name: variable.numpy() for name, variable in state.variables().items()}
    np.savez(output, skipped=skipped, loss=result.last_scalars["loss/discriminator"], **arrays)
    wait_for_all(strategy, cluster)
