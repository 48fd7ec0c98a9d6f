"""All checks, in the order in which their findings are listed."""

from pgan_tf.diagnosis.averages import AVERAGE_LAGS
from pgan_tf.diagnosis.balance import LEARNS_EVERYTHING, LEARNS_NOTHING
from pgan_tf.diagnosis.convergence import UNCONVERGED
from pgan_tf.diagnosis.overfitting import OVERFITTING
from pgan_tf.diagnosis.penalties import PENALTY
from pgan_tf.diagnosis.updates import NOT_FINITE
from pgan_tf.diagnosis.variety import CLASS_COLLAPSE, COLLAPSE

CHECKS = (
    NOT_FINITE,
    OVERFITTING,
    COLLAPSE,
    CLASS_COLLAPSE,
    LEARNS_NOTHING,
    LEARNS_EVERYTHING,
    PENALTY,
    AVERAGE_LAGS,
    UNCONVERGED,
)
