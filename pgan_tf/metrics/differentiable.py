"""Features of tensors, through which gradients pass, for distances that are minimized."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pgan_tf.metrics.features import FeatureExtractor
from tfrecords_tools.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

_MAX_REASON = 200


@runtime_checkable
class TensorExtractor(Protocol):
    """An extractor whose features are also differentiable functions of tensors."""

    def of_tensor(self, images: "tf.Tensor") -> "tf.Tensor":
        """Return the features `[b d]` float32 of `[b h w 3]` float32 images in [0, 255].

        The same as the extractor's features of the same images as uint8. Values need not be whole.
        It may be called within a `tf.function`, and only computes: it neither checks values nor
        waits for them.
        """
        ...


def differentiable(
    extractor: FeatureExtractor, *, height: int, width: int
) -> Callable[["tf.Tensor"], "tf.Tensor"]:
    """Return an extractor's `of_tensor`, once it has been found to have gradients.

    Args:
      extractor: of features.
      height: of the images, in pixels.
      width: of the images, in pixels.

    Returns:
      `TensorExtractor.of_tensor`, from `[b height width 3]` float32 images in [0, 255] to features
      `[b d]` float32.

    Raises:
      UserError: the extractor takes no tensors, or its features do not depend on them
        differentiably.
    """
    import tensorflow as tf

    if not isinstance(extractor, TensorExtractor):
        raise UserError(
            f"features {extractor.name}: gradients are needed, but this extractor takes arrays only"
        )
    of_tensor = extractor.of_tensor

    def gradient(images: "tf.Tensor") -> "tf.Tensor":
        with tf.GradientTape() as tape:
            tape.watch(images)
            features = of_tensor(images)
            if features.shape.rank != 2:
                raise ValueError(f"the features must be [b d]. Received: {features.shape}")
            total = tf.reduce_sum(features)
        found = tape.gradient(total, images)
        if found is None:
            raise ValueError("there is no differentiable way from the images to the features")
        return found

    try:  # to build the graph runs nothing; what an own function raises may be of any type
        spec = tf.TensorSpec([None, height, width, 3], tf.float32)
        tf.function(gradient, autograph=False).get_concrete_function(spec)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0][:_MAX_REASON]
        raise UserError(
            f"features {extractor.name}: gradients are needed, so that the features must be "
            "computed by TensorFlow from [b h w 3] float32 tensors in [0, 255]. Received: "
            f"{type(error).__name__}: {reason}"
        ) from error
    return of_tensor
