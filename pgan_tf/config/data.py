"""Which images are trained on."""

import dataclasses

from pgan_tf.config.options import option


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images are trained on, and how they are shown."""

    data_dir: str = option("", "The pyramid: a directory made by pgan-prepare-tfrecords or the "
                           "original tool, or its URL (gs://bucket/name), from which it is "
                           "streamed. Required.", adjustable=True)  # fmt: skip
    use_labels: bool = option(True, "Condition on the pyramid's labels (AC-GAN) where it has them.")
    mirror_augment: bool = option(False, "Mirror each real image left-right with probability 1/2.")
    dequantize: bool = option(
        False, "Add uniform noise to reals, one level of their 256 wide, so that none are alike."
    )
