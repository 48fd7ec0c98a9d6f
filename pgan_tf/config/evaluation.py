"""Which metrics are computed while training: a part of `config.TrainConfig`."""

import dataclasses

from pgan_tf.config.options import option, require_at_least, require_choice, require_positive

METRICS = ("swd", "ms_ssim", "fid", "is", "kid", "precision_recall", "modes")


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """Metrics computed while training (docs/reference/metrics.md), and which network is the best.

    Raises:
      ValueError: a value is out of its range, or no metric.
    """

    eval_metrics: str = option(
        "",
        f"Metrics to compute while training, comma-separated, of {', '.join(METRICS)}. "
        "Default: none.",
        adjustable=True,
    )
    eval_kimg: float = option(
        200.0, "Compute them this often; also at each stage's end.", adjustable=True
    )
    eval_num_images: int | None = option(
        None,
        "How many images they compare. Default: 4096, or all of the data where it has fewer.",
        adjustable=True,
    )
    best_metric: str = option(
        "",
        "Keep the network that is best by this one of them as networks/best.keras. "
        "Default: the first.",
        adjustable=True,
    )
    eval_inception: str = option(
        "", "The Inception graph for fid, is, kid and precision_recall. Default: downloaded once.",
        adjustable=True,
    )  # fmt: skip
    eval_features: str = option(
        "", "Features of one's own instead, as module:function.", adjustable=True
    )
    eval_digit_classifier: str = option(
        "", "A .keras file that reads digits, for modes.", adjustable=True
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
        """Whether a metric looks at images through a network, such as Inception."""
        return not {"swd", "ms_ssim"}.issuperset(self.metric_names)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics to compute; empty for none."""
        return tuple(name.strip() for name in self.eval_metrics.split(",") if name.strip())

    @property
    def resolved_best_metric(self) -> str:
        """The metric by which the best network is kept; empty without metrics."""
        return self.best_metric or (self.metric_names[0] if self.metric_names else "")
