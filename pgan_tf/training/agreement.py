"""What several workers have to agree on before and after training: the run, its state, its end."""

import hashlib

import numpy as np
import tensorflow as tf

from pgan_tf.config import TrainConfig, flags
from pgan_tf.distribution.cluster import Cluster
from pgan_tf.distribution.strategy import all_reduce_sum, broadcast
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid


def check_same_run(
    strategy: tf.distribute.Strategy, cluster: Cluster, config: TrainConfig, pyramid: Pyramid
) -> None:
    """Makes sure that all workers were started with the chief's flags and data.

    Only where the data are may differ from host to host.

    Raises:
      UserError: one was not; raised on all of them.
    """
    lines = [
        line
        for line in flags.to_flagfile(config).splitlines()
        if not line.startswith("--data_dir=")
    ]
    lines.append(f"{pyramid.count} {pyramid.channels} {pyramid.label_size}")
    digest = hashlib.sha256("\n".join(lines).encode()).digest()
    own = np.frombuffer(digest, np.uint8)
    (chiefs,) = broadcast(strategy, [own], is_chief=cluster.is_chief)
    differs = np.zeros(cluster.count, np.float32)
    differs[cluster.index] = not np.array_equal(own, chiefs)
    others = np.flatnonzero(all_reduce_sum(strategy, differs))
    if len(others):
        raise UserError(
            f"of {cluster.count} workers, these were started with other flags or data than worker "
            f"0: {', '.join(map(str, others))}; give all of them the same"
        )


def share_state(strategy: tf.distribute.Strategy, cluster: Cluster, state: TrainState) -> None:
    """Gives every worker the chief's state, bit by bit, so that only the chief need restore it."""
    if cluster.count == 1:
        return
    variables = list(state.variables().values())
    arrays = [variable.numpy() for variable in variables]
    received = broadcast(strategy, arrays, is_chief=cluster.is_chief)
    if not cluster.is_chief:
        for variable, array in zip(variables, received, strict=True):
            variable.assign(array)


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns once every worker has called it."""
    all_reduce_sum(strategy, np.zeros(1, np.float32))
