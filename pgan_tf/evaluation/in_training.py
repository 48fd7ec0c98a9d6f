"""Metrics of the EMA generator while it is trained, and the best generator so far."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.distribution.out_of_memory import explain_out_of_memory
from pgan_tf.evaluation.catalog import Compared, combined_spread, find_metrics
from pgan_tf.evaluation.evaluator import Evaluator
from pgan_tf.evaluation.extraction import ExtractorOptions, load_extractors
from pgan_tf.evaluation.feature_cache import CACHE_NAME, FeatureCache
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import (
    Fakes,
    Reals,
    generation_batch_size,
)
from pgan_tf.evaluation.replicated_generator import ReplicatedGenerator
from pgan_tf.evaluation.results import SPREAD, scalar_tag
from pgan_tf.networks.generator import Generator
from pgan_tf.networks.layer_table import generator_layers
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.runs.saved_generator import read_description
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid

USUAL_NUM_IMAGES = 4096
# Of the bootstrap. They take a third of the time of comparing patches by swd, and less of others.
REPLICATES = 20

_NO_MEMORY_BESIDE_TRAINING = (
    "--eval_metrics needs more than training leaves free; continue without it, and measure the "
    "saved generators with pgan-evaluate --all_snapshots"
)


def make_evaluation(
    config: TrainConfig, pyramid: Pyramid, run: RunDirectory, strategy: tf.distribute.Strategy
) -> "TrainingEvaluation | None":
    """Return the evaluation that a configuration asks for; None if it asks for none.

    To be called before the run directory is made, so that an impossible evaluation leaves nothing.

    Raises:
      UserError: a metric can't be computed of these data.
    """
    if not config.evaluation.metric_names:
        return None
    return TrainingEvaluation(config, pyramid, run, strategy)


class TrainingEvaluation:
    """Metrics of a generator in training, and the best value of the one that ranks generators."""

    def __init__(
        self,
        config: TrainConfig,
        pyramid: Pyramid,
        run: RunDirectory,
        strategy: tf.distribute.Strategy,
    ):
        """Check that the metrics can be computed, and read the best value so far.

        Args:
          config: with the values filled in that come from the data; it names metrics.
          pyramid: the data.
          run: the directory with the features of reals and the best generator.
          strategy: to generate with; of several workers, the chief alone generates.

        Raises:
          UserError: a metric can't be computed of these data.
        """
        if pyramid.is_remote:
            raise UserError(
                "--eval_metrics needs a pyramid on a local disk. "
                f"Received: --data_dir={pyramid.location}"
            )
        wanted = config.evaluation
        metrics = find_metrics(wanted.metric_names, "eval_metrics")
        for metric in metrics:
            if metric.needs_labels and not config.network.label_size:
                raise UserError(
                    f"--eval_metrics={metric.name} needs a conditional network. Received: one "
                    f"without labels (--use_labels, of data with classes)"
                )
        self._strategy = strategy
        self._config = config
        self._reals = Reals(
            PyramidImages(pyramid, config.network.final_resolution),
            seed=config.run.seed,
            mirror=config.data.mirror_augment,
        )
        self._evaluator = Evaluator(
            metrics,
            self._reals,
            num_images=wanted.eval_num_images or min(USUAL_NUM_IMAGES, pyramid.count),
            cache=FeatureCache(run.path / CACHE_NAME),
            extractors=load_extractors(
                metrics,
                ExtractorOptions(
                    inception=wanted.eval_inception,
                    features=wanted.eval_features,
                    dinov2=wanted.eval_dinov2,
                    digit_classifier=wanted.eval_digit_classifier,
                ),
            ),
            replicates=REPLICATES,
            flag="eval_num_images",
        )
        (self._ranking,) = find_metrics([wanted.resolved_best_metric], "best_metric")
        # The value and its spread.
        self._best = self._read_best(run.best_generator)

    def evaluate(self, generator: Generator, *, resolution: int, alpha: float | None) -> Compared:
        """Compute the metrics of a generator at a stage.

        Images of a lower resolution are enlarged to the final one.

        Args:
          generator: usually the EMA generator, on all replicas.
          resolution: the stage's.
          alpha: weight of the newest layers; None if the stage does not fade.

        Returns:
          Values, and their spread.

        Raises:
          UserError: its images are not finite, the disk is full, or memory is exhausted.
        """

        def call(latents: tf.Tensor, labels: tf.Tensor | None) -> Any:
            return generator(latents, labels, resolution=resolution, alpha=alpha)

        layers = generator_layers(self._config.network)
        features = sum(layer.outputs for layer in layers if layer.resolution <= resolution)
        network, count = self._config.network, self._evaluator.most_images
        height, width = network.image_size(resolution)
        generate = ReplicatedGenerator(
            call,
            self._strategy,
            batch_size=min(generation_batch_size(height * width, features), count),
            label_size=network.label_size,
        )
        fakes = Fakes(
            origin=f"the EMA generator at {network.size_text(resolution)}",
            generate=generate,
            latent_size=network.resolved_latent_size,
            labels=self._reals.draw_labels(count) if network.label_size else None,
            size=self._reals.size,
            seed=self._reals.seed,
            batch_size=generate.batch_size,
        )
        with explain_out_of_memory(_NO_MEMORY_BESIDE_TRAINING):
            return self._evaluator.evaluate(fakes)

    def scalars(self, found: Compared) -> dict[str, float]:
        """Return values and their spread by the tags of scalars."""
        extractors = self._evaluator.extractor_digests
        return {
            scalar_tag(name, kind, extractor=extractors.get(name.split("/")[0])): value
            for kind, values in (("", found.values), (SPREAD, found.spread))
            for name, value in values.items()
        }

    def offer(self, found: Compared, save: Callable[[dict[str, Any]], None]) -> bool:
        """Save a generator if it is the best so far, by more than the spread of both values.

        Of generators that are equal within the spread, the first stays.

        Args:
          found: its metrics, from `evaluate`.
          save: called if it is the best, with attributes of its `GeneratorDescription`.

        Returns:
          True if it is the best.
        """
        value = found.values[self._ranking.headline]
        spread = found.spread.get(self._ranking.headline, 0.0)
        if not math.isfinite(value):
            return False
        if self._best is not None:
            best, spread_of_best = self._best
            margin = combined_spread(spread, spread_of_best)
            if not self._ranking.better(value, than=best, by=margin):
                return False
        best_of_run = self._conditions() | {"value": value, "spread": spread}
        save({"best": best_of_run, "metrics": found.values})
        self._best = value, spread
        return True

    def _conditions(self) -> dict[str, Any]:
        """Return the settings that two values must share to be compared, and the value's name."""
        method = self._evaluator.methods.get(self._ranking.name)
        return {
            "figure": self._ranking.headline,
            "num_images": self._evaluator.num_images[self._ranking.name],
            "resolution": self._reals.images.resolution,
            "seed": self._reals.seed,
            "mirror_augment": self._reals.mirror,
            "data_digest": self._evaluator.data_digest,
            "extractor": self._evaluator.extractor_digests.get(self._ranking.name),
        } | ({} if method is None else {"method": method})

    def _read_best(self, path: Path) -> tuple[float, float] | None:
        """Read the value of the best generator of this run so far from its description.

        Early versions wrote no spread, which counts as 0.
        """
        if not path.exists():
            return None
        try:
            best = read_description(path).best
        except UserError as error:
            logging.warning("%s; the next generator evaluated replaces it", error)
            return None
        if best is None or "value" not in best:
            return None
        before = {key: value for key, value in best.items() if key not in ("value", "spread")}
        conditions = self._conditions()
        if before != conditions:
            differing = [key for key, now in conditions.items() if best.get(key) != now]
            logging.warning(
                "%s is the best by %s of %s images, and its value can't be compared with new ones,"
                " which differ in %s; the next one evaluated replaces it",
                path,
                best.get("figure"),
                best.get("num_images"),
                ", ".join(differing) or "less",
            )
            return None
        return float(best["value"]), float(best.get("spread", 0.0))
