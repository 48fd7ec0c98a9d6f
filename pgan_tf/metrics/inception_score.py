"""The Inception score.

Salimans et al., "Improved Techniques for Training GANs", NIPS 2016, section 4.
"""

import itertools

import numpy as np

from pgan_tf.metrics.features import require_matrix
from pgan_tf.metrics.spread import deviation, draw_rows
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
    scores = [_score(*_softmax(logits[start:end])) for start, end in itertools.pairwise(edges)]
    return float(np.mean(scores)), float(np.std(scores))


def inception_score_spread(
    logits: np.ndarray, splits: int = 10, *, replicates: int, seed: int
) -> float:
    """Return the bootstrap's spread of the mean over splits, each of which is resampled by itself.

    Args:
      logits: see `inception_score`.
      splits: see `inception_score`.
      replicates: number of draws, at least 2.
      seed: of the draws.
    """
    edges = [index * len(logits) // splits for index in range(splits + 1)]
    scores = np.zeros([replicates, splits])
    for split, (start, end) in enumerate(itertools.pairwise(edges)):
        p, negative_entropies = _softmax(logits[start:end])
        drawn = draw_rows(end - start, end - start, replicates, seed + split)
        for replicate, rows in enumerate(drawn):
            weights = np.bincount(rows, minlength=end - start) / (end - start)
            scores[replicate, split] = _score(p, negative_entropies, weights)
    return deviation(scores.mean(axis=1))


def _softmax(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return p(y|x) `[n k]`, and its negative entropies `[n]`."""
    log_p = logits.astype(np.float64)
    log_p -= log_p.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    return p, np.einsum("nk,nk->n", p, log_p)


def _score(
    p: np.ndarray, negative_entropies: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Return the score of images, weighted by `[n]` of sum 1, or equally."""
    if weights is None:
        weights = np.full(len(p), 1 / len(p))
    marginal = weights @ p
    # Where the marginal is 0 every p is 0, and 0 log 0 is 0.
    entropy = -marginal @ np.log(np.where(marginal > 0, marginal, 1.0))
    return float(np.exp(weights @ negative_entropies + entropy))
