"""The section about images."""

import dataclasses

from pgan_tf.config.options import option, require_at_least


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The images that are trained on, and how they are shown.

    Raises:
      ValueError: a value is out of range.
    """

    data_dir: str = option(
        "",
        "The pyramid: a directory made by pgan-prepare-tfrecords or by the original "
        "implementation, or the URL of one (gs://bucket/name), from which images are streamed. "
        "Required.",
        adjustable=True,
    )
    use_labels: bool = option(
        True, "Condition both networks on the pyramid's labels (AC-GAN), if it has labels."
    )
    validation_images: int = option(
        0,
        "Number of images of the pyramid that are held out: never trained on, and the same in "
        "every run of it.",
    )
    mirror_augment: bool = option(
        False, "Mirror each real image left to right with probability 1/2."
    )
    dequantize: bool = option(
        False,
        "Add noise to real images, uniform and as wide as one of the 256 levels of a color, so "
        "that values between levels do not give fakes away.",
    )

    def __post_init__(self) -> None:
        require_at_least("validation_images", self.validation_images, 0)
