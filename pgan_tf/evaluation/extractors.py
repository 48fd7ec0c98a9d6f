"""Which extractor each measurement needs, loaded only where it is needed."""

from collections.abc import Sequence

from pgan_tf import metrics
from pgan_tf.evaluation.catalogue import Metric
from pgan_tf.evaluation.measuring import Extractor
from tfrecords_tools.errors import UserError


def load_extractors(
    wanted: Sequence[Metric], *, inception: str, features: str, digit_classifier: str = ""
) -> dict[str, Extractor]:
    """Extractors by measurement.

    Args:
      wanted: the metrics to compute.
      inception: path of the Inception graph; empty downloads it once.
      features: `module:function` to use instead; empty for Inception.
      digit_classifier: a `.keras` file, for `modes`.

    Raises:
      UserError: one can't be loaded.
    """
    kinds = {metric.measurement for metric in wanted}
    extractors: dict[str, Extractor] = {}
    if "features" in kinds:
        extractors["features"] = (
            metrics.load_features(features)
            if features
            else metrics.load_inception(inception or None)
        )
    if "numbers" in kinds:
        if not digit_classifier:
            raise UserError("modes needs --digit_classifier, a .keras file that reads digits")
        extractors["numbers"] = metrics.load_digit_classifier(digit_classifier)
    return extractors
