"""The options of pgan-evaluate."""

import dataclasses
from collections.abc import Sequence

from pgan_tf.evaluation.extraction import ExtractorOptions


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """The options of pgan-evaluate.

    Attributes:
      network: a run directory or a `.keras` file; or images: a pyramid, a folder or an archive.
      data_dir: the data: a pyramid, a folder or an archive; empty for the run's own.
      resolution: of the comparison: auto, a number, or WIDTHxHEIGHT.
      skip_bad_images: whether image files that can't be used are left out.
      metrics: their names.
      num_images: number of images to compare; None for each metric's usual number.
      seed: of latents, of the choice of reals, and of the random draws of metrics.
      all_snapshots: whether to evaluate every generator that the run has saved, not the newest.
      ema_length: of the moving average; see `load_generator`.
      output: directory for the results; empty for the run directory.
      mirror_augment: whether to mirror reals; None to do as the run did.
      floor: whether to compare reals with other reals too.
      bootstrap: number of replicates for the spread of values over fakes; 0 for none.
      reuse: whether to reuse values that were written under the same settings.
      cache: whether to keep the features of reals.
      cache_dir: directory of the features; empty for one in the run directory.
      batch_size: images per replica at a time; None for what fits the resolution.
      distribution: as in pgan-train.
      logical_cpus: as in pgan-train.
      inception: path of the Inception graph, as `metrics.load_inception` takes it.
      resize: of images for Inception, "legacy" or "clean".
      features: an extractor of one's own, as `metrics.load_features` takes it, or "dinov2".
      dinov2: path of DINOv2, as `metrics.load_dinov2` takes it.
      digit_classifier: path of a classifier, as `metrics.load_digit_classifier` takes it.
    """

    network: str
    data_dir: str = ""
    resolution: str = "auto"
    skip_bad_images: bool = False
    metrics: Sequence[str] = ("swd", "ms_ssim")
    num_images: int | None = None
    seed: int = 0
    all_snapshots: bool = False
    ema_length: float | None = None
    output: str = ""
    mirror_augment: bool | None = None
    floor: bool = True
    bootstrap: int = 20
    reuse: bool = True
    cache: bool = True
    cache_dir: str = ""
    batch_size: int | None = None
    distribution: str = "auto"
    logical_cpus: int = 0
    inception: str = ""
    resize: str = "legacy"
    features: str = ""
    dinov2: str = ""
    digit_classifier: str = ""

    @property
    def extractors(self) -> ExtractorOptions:
        """The networks that compute features."""
        return ExtractorOptions(
            inception=self.inception,
            resize=self.resize,
            features=self.features,
            dinov2=self.dinov2,
            digit_classifier=self.digit_classifier,
        )
