"""The Inception score.

Salimans et al., "Improved Techniques for Training GANs", NIPS 2016, section 4.
"""

import itertools

import numpy as np

from pgan_tf.metrics.features import require_matrix
from tfrecords_tools.errors import UserError


def inception_score(logits: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Compute the Inception score, `exp(E KL(p(y|x) || p(y)))`.

    Args:
      logits: `[n k]`, scores of k classes before the softmax, in the order of generation.
      splits: number of consecutive splits, as equal as possible, each with a score of its own.

    Returns:
      Mean and standard deviation over the splits; scores are between 1 and k. The deviation is the
      population's (divided by `splits`), as is usual.

    Raises:
      UserError: there are fewer than two images a split, which all score 1, or the logits are
        not finite.
    """
    if splits < 1:
        raise UserError(f"the Inception score needs at least 1 split. Received: {splits}")
    logits = require_matrix(logits, "logits of the Inception score", least=2 * splits)
    edges = [index * len(logits) // splits for index in range(splits + 1)]
    scores = [_score(logits[start:end]) for start, end in itertools.pairwise(edges)]
    return float(np.mean(scores)), float(np.std(scores))


def _score(logits: np.ndarray) -> float:
    log_p = logits.astype(np.float64)
    log_p -= log_p.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    marginal = p.mean(axis=0)
    # Where the marginal is 0 every p is 0, and 0 log 0 is 0.
    log_marginal = np.log(np.where(marginal > 0, marginal, 1.0))
    return float(np.exp(np.mean(np.sum(p * (log_p - log_marginal), axis=1))))
