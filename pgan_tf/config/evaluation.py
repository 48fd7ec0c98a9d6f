"""The section about metrics while training."""

import dataclasses

from pgan_tf.config.options import option, require_at_least, require_choice, require_positive

METRICS = (
    *("swd", "ms_ssim", "fid", "is", "kid", "precision_recall", "density_coverage"),
    *("fid_by_class", "precision_recall_by_class", "modes"),
)
# Those of pgan-evaluate, which has time to compare fakes with all training images.
EVALUATE_METRICS = (*METRICS, "neighbors")


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """Metrics computed while training, which also choose the best network.

    docs/reference/metrics.md describes them.

    Raises:
      ValueError: a value is out of range, or names no metric.
    """

    eval_metrics: str = option(
        "",
        "Metrics to compute while training, separated by commas: any of "
        f"{', '.join(METRICS)}. Default: none.",
        adjustable=True,
    )
    eval_kimg: float = option(
        200.0,
        "Thousands of images between two computations of --eval_metrics, which also happen at the "
        "end of each stage.",
        adjustable=True,
    )
    eval_num_images: int | None = option(
        None,
        "Number of images that each of --eval_metrics compares. Default: 4096, or all of the data "
        "if it has fewer.",
        adjustable=True,
    )
    best_metric: str = option(
        "",
        "The one of --eval_metrics that chooses the best network, which is kept as "
        "networks/best.keras. Default: the first of them.",
        adjustable=True,
    )
    eval_inception: str = option(
        "",
        "The file with the Inception graph for fid, is, kid and the other metrics of features. "
        "Default: downloaded once.",
        adjustable=True,
        remembered=False,
    )
    eval_features: str = option(
        "",
        "Your own function that computes features in place of Inception's, as module:function or "
        "FILE.py:function; or dinov2.",
        adjustable=True,
        remembered=False,
    )
    eval_dinov2: str = option(
        "",
        "The folder of a keras_hub preset, or a .keras file, with the DINOv2 network of "
        "--eval_features=dinov2. Default: downloaded once.",
        adjustable=True,
        remembered=False,
    )
    eval_digit_classifier: str = option(
        "",
        "A .keras file that classifies digits, for --eval_metrics=modes.",
        adjustable=True,
        remembered=False,
    )

    def __post_init__(self) -> None:
        require_positive("eval_kimg", self.eval_kimg)
        if self.eval_num_images is not None:
            require_at_least("eval_num_images", self.eval_num_images, 1)
        for name in self.metric_names:
            require_choice("eval_metrics", name, METRICS)
        if self.best_metric:
            require_choice("best_metric", self.best_metric, METRICS)
            if self.best_metric not in self.metric_names:
                raise ValueError(
                    f"best_metric must be one of eval_metrics, {self.eval_metrics or 'of none'}. "
                    f"Received: {self.best_metric}"
                )

    @property
    def runs_other_networks(self) -> bool:
        """True if a metric computes features of images by a network, such as Inception."""
        return not {"swd", "ms_ssim"}.issuperset(self.metric_names)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics to compute; empty for none."""
        return tuple(name.strip() for name in self.eval_metrics.split(",") if name.strip())

    @property
    def resolved_best_metric(self) -> str:
        """The metric that chooses the best network; empty without metrics."""
        return self.best_metric or (self.metric_names[0] if self.metric_names else "")
