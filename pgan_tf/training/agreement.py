"""Agreement between the workers of a run: on flags and data, on the state, on the end.

Every worker must call each of these functions; with a single worker they do nothing.
"""

import hashlib

import numpy as np
import tensorflow as tf

from pgan_tf.config import flags
from pgan_tf.distribution.cluster import Cluster
from pgan_tf.distribution.strategy import all_reduce_sum, broadcast
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.prepare import PreparedRun
from tfrecords_tools.errors import UserError


def check_same_run(run: PreparedRun) -> None:
    """Check that all workers were started with the chief's flags and data.

    Only `data_dir` may differ: hosts may keep the data in different places.

    Raises:
      UserError: some were not; raised on all workers.
    """
    cluster, strategy = run.cluster, run.strategy
    if cluster.count == 1:
        return
    own = _fingerprint(run)
    (chiefs,) = broadcast(strategy, [own], is_chief=cluster.is_chief)
    differs = np.zeros(cluster.count, np.float32)
    differs[cluster.index] = not np.array_equal(own, chiefs)
    differing = np.flatnonzero(all_reduce_sum(strategy, differs))
    if len(differing):
        raise UserError(
            f"of {cluster.count} workers, these were started with other flags or data than worker "
            f"0: {', '.join(map(str, differing))}; give all of them the same"
        )


def _fingerprint(run: PreparedRun) -> np.ndarray:
    """Return a digest of the flags and the data's shape, `[32]` uint8."""
    lines = [
        line
        for line in flags.to_flagfile(run.config).splitlines()
        if not line.startswith("--data_dir=")
    ]
    lines.append(f"{run.pyramid.count} {run.pyramid.channels} {run.pyramid.label_size}")
    lines.append(f"{run.pyramid.base} {run.pyramid.bits}")
    return np.frombuffer(hashlib.sha256("\n".join(lines).encode()).digest(), np.uint8)


def share_state(strategy: tf.distribute.Strategy, cluster: Cluster, state: TrainState) -> None:
    """Copy the chief's state to every worker, bit by bit: only the chief reads checkpoints."""
    if cluster.count == 1:
        return
    state.store_counters()
    variables = list(state.variables().values())
    arrays = [variable.numpy() for variable in variables]
    received = broadcast(strategy, arrays, is_chief=cluster.is_chief)
    if not cluster.is_chief:
        for variable, array in zip(variables, received, strict=True):
            variable.assign(array)
        state.load_counters()


def chiefs_answer(strategy: tf.distribute.Strategy, cluster: Cluster, answer: bool) -> bool:
    """Return the chief's answer to a question of which only the chief can know the answer."""
    if cluster.count == 1:
        return answer
    (chiefs,) = broadcast(strategy, [np.array([answer])], is_chief=cluster.is_chief)
    return bool(chiefs[0])


def wait_for_all(strategy: tf.distribute.Strategy, cluster: Cluster) -> None:
    """Wait until every worker has called this function."""
    if cluster.count > 1:
        all_reduce_sum(strategy, np.zeros(1, np.float32))
