"""T, the operations that the discriminator's images go through, one after the other."""

from collections.abc import Sequence

import tensorflow as tf

from pgan_tf.augmentation.blitting import BLIT
from pgan_tf.augmentation.color import RECOLOR
from pgan_tf.augmentation.corruption import ADD_NOISE, CUT_OUT
from pgan_tf.augmentation.diffaugment import COLOR, CUTOUT, TRANSLATION
from pgan_tf.augmentation.filtering import FILTER
from pgan_tf.augmentation.geometry import TRANSFORM, TRANSFORM_ON_CPUS
from pgan_tf.augmentation.operation import Operation
from pgan_tf.config import AugmentConfig

# By letters of `--augment_pipe`, in the order of the paper (Karras et al. 2020, appendix B).
PIPE = {
    "b": BLIT,
    "g": TRANSFORM,
    "c": RECOLOR,
    "f": FILTER,
    "n": ADD_NOISE,
    "o": CUT_OUT,
}
# By words of `--augment_policy`.
POLICY = {"color": COLOR, "translation": TRANSLATION, "cutout": CUTOUT}


class Pipeline:
    """Operations on the images of one stage.

    Args:
      operations: in the order in which they are applied.
      height: of the images.
      width: of the images.
      channels: of the images.

    Attributes:
      noise_size: length of the noise of an image.
    """

    def __init__(self, operations: Sequence[Operation], *, height: int, width: int, channels: int):
        self._operations = operations
        self._sizes = [each.noise_size(height, width, channels) for each in operations]
        self.noise_size = sum(self._sizes)

    def __call__(self, images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        """Augment images.

        Args:
          images: `[b h w c]` float32.
          noise: `[b noise_size]`, uniform in [0, 1).
          strength: scalar in [0, 1], the probability p of each operation.
        """
        for operation, own in zip(
            self._operations, tf.split(noise, self._sizes, axis=1), strict=True
        ):
            images = operation.apply(images, own, strength)
        return images


def make_pipeline(
    config: AugmentConfig, *, resolution: int, image_shape: tuple[int, int, int], is_compiled: bool
) -> Pipeline | None:
    """Return the pipeline of a stage; None if no operation is left.

    Args:
      config: of the run.
      resolution: of the stage.
      image_shape: height, width and channels of its images.
      is_compiled: whether it becomes part of a program of XLA's.
    """
    operations = [each for each in _operations(config) if each.least_resolution <= resolution]
    if not is_compiled and not tf.config.list_physical_devices("GPU"):
        operations = [TRANSFORM_ON_CPUS if each is TRANSFORM else each for each in operations]
    if not operations:
        return None
    height, width, channels = image_shape
    return Pipeline(operations, height=height, width=width, channels=channels)


def _operations(config: AugmentConfig) -> list[Operation]:
    if config.augment == "none":
        return []
    if config.augment == "diffaugment":
        return [POLICY[name] for name in config.policy_names]
    return [PIPE[letter] for letter in PIPE if letter in config.augment_pipe]
