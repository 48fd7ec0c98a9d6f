"""What a run tells while it trains: progress lines, TensorBoard, metrics.jsonl, image grids."""

import collections
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from absl import logging
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.histogram.metadata import create_summary_metadata
from tensorboard.plugins.hparams import api as hparams

from pgan_tf.config import TrainConfig, flags
from pgan_tf.config.phases import Phase
from pgan_tf.data.order import records_at
from pgan_tf.reporting.descriptions import describe
from pgan_tf.reporting.hyperparameters import hyperparameters
from pgan_tf.runs.grids import (
    Generate,
    draw_latents,
    enlarge,
    generate_images,
    grid_size,
    make_grid,
    save_png,
)
from pgan_tf.runs.run_directory import RunDirectory, format_duration
from pgan_tf.step.step import StepResult
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid

# Seeds that keep the grids' latents and labels apart from what networks are trained with.
_LATENTS_SEED = 1000
_PER_ROW_MAX_LABELS = 16


class Ticker:
    """Sums up what steps tell between two reports, and keeps time.

    Args:
      clock: seconds from anywhere; tests pass their own.
    """

    def __init__(self, images_seen: int, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self.restart(images_seen)

    def restart(self, images_seen: int) -> None:
        """Begins anew, as after something that is not training."""
        self._last: StepResult | None = None
        self._totals: collections.defaultdict[str, float] = collections.defaultdict(float)
        self._counts: collections.Counter[str] = collections.Counter()
        self._data_wait = 0.0
        self._since = self._clock()
        self._images_seen = images_seen
        self._excluded_seconds = 0.0
        self._excluded_images = 0

    def exclude(self, seconds: float, images: int) -> None:
        """Leaves a stretch of time, and the images trained in it, out of the speed."""
        self._excluded_seconds += seconds
        self._excluded_images += images

    def add(self, result: StepResult, *, data_wait: float) -> None:
        """Adds a call's steps and the seconds it waited for data.

        Its figures are looked at while the next call runs, so that no device waits for it.
        """
        self._sum_up_last()
        self._last = result
        self._data_wait += data_wait

    def _sum_up_last(self) -> None:
        if self._last is None:
            return
        # One step after the other, so that the sums are the same whatever the steps in a call.
        for row in self._last.scalars.tolist():
            for name, value in zip(self._last.names, row, strict=True):
                self._totals[name] += value
        self._counts.update(dict.fromkeys(self._last.names, len(self._last.scalars)))
        self._last = None

    def report(self, images_seen: int) -> dict[str, float]:
        """Means since the last report (sums for skipped updates), and speed; then restarts.

        Each is the mean over the steps that had it: not every step may train the generator.
        """
        self._sum_up_last()
        figures = {
            name: total / (1 if name.endswith("_skipped") else self._counts[name])
            for name, total in self._totals.items()
        }
        # Read after the figures: looking at them waits for the device to finish.
        seconds = self._clock() - self._since
        images = images_seen - self._images_seen
        if images > self._excluded_images:
            seconds -= self._excluded_seconds
            images -= self._excluded_images
        seconds = max(seconds, 1e-9)
        figures["speed/images_per_second"] = images / seconds
        figures["speed/seconds_per_kimg"] = 1000 * seconds / max(images, 1)
        figures["speed/data_wait_fraction"] = self._data_wait / seconds
        self.restart(images_seen)
        return figures


class Summaries:
    """Writes a run's figures and pictures to its directory.

    TensorBoard's steps are whole numbers: kimg, or images in a run that reports within a kimg. A
    run keeps the unit that it began with, which each line of metrics.jsonl shows as its `step`.
    """

    def __init__(self, run: RunDirectory, config: TrainConfig, pyramid: Pyramid):
        """
        Args:
          run: where to write.
          config: with what only the data can tell filled in.
          pyramid: the data, for the grid of reals and for labels.
        """
        self._run = run
        self._config = config
        self._pyramid = pyramid
        self._resolution = config.network.final_resolution
        self._label_size = config.network.label_size
        self._seed = config.run.seed
        self._one_hot = self._label_size > 0 and _is_one_hot(pyramid.labels)
        self._columns, rows = grid_size(self._resolution, self._label_size if self._one_hot else 0)
        self._records = self._choose_reals(rows)
        self._latents = draw_latents(
            len(self._records), config.network.resolved_latent_size, seed=_LATENTS_SEED + self._seed
        )
        self._labels = None
        if self._label_size and pyramid.labels is not None:
            self._labels = np.asarray(pyramid.labels[self._records])
        self._images_per_step = 1 if config.reports_within_a_kimg else 1000
        self._writer = tf.summary.create_file_writer(str(run.path))

    @property
    def label_names(self) -> tuple[str, ...]:
        """What the labels are called; empty where they have no names, or there are none."""
        return (self._pyramid.label_names or ()) if self._label_size else ()

    def _choose_reals(self, rows: int) -> np.ndarray:
        """Records for the grid, the first in training order; with few classes, a row of each."""
        count, labels = self._pyramid.count, self._pyramid.labels
        if labels is None or not self._one_hot or self._label_size > _PER_ROW_MAX_LABELS:
            positions = np.arange(self._columns * rows, dtype=np.int64)
            return records_at(positions, count=count, seed=self._seed)
        order = records_at(np.arange(count, dtype=np.int64), count=count, seed=self._seed)
        classes = np.argmax(labels, axis=1)[order]
        chosen = []
        for label in range(self._label_size):
            members = order[classes == label]
            # A class without images leaves its row to the others.
            chosen.append(np.resize(members if len(members) else order, self._columns))
        return np.concatenate(chosen)

    @property
    def label_rows(self) -> list[list[float]]:
        """Labels of the data to draw from, where they are no classes; empty for one-hot ones."""
        return [] if self._one_hot or self._labels is None else self._labels.tolist()

    def write_config(self, images_seen: int) -> None:
        """The configuration as TensorBoard's text, and as its hyperparameters."""
        text = "\n".join(f"    {line}" for line in flags.to_flagfile(self._config).splitlines())
        path = self._run.path.absolute()
        with self._writing(images_seen):
            tf.summary.text("config", text)
            # Named, because runs of one name, or of equal values and no name, share a row.
            hparams.hparams(
                hyperparameters(self._config), trial_id=f"{path.parent.name}/{path.name}"
            )

    def write_reals(self) -> None:
        """The grid of reals at the final resolution, once a run."""
        images = self._pyramid.level(self._resolution).read(self._records).transpose(0, 2, 3, 1)
        grid = make_grid(images, self._columns)
        save_png(self._run.reals, grid)
        self._write_image("images/reals", grid, 0)

    def write_fakes(self, generate: Generate, images_seen: int, *, batch_size: int) -> None:
        """A grid of what the EMA generator makes of the same latents every time."""
        images = np.concatenate(
            list(generate_images(generate, self._latents, self._labels, batch_size=batch_size))
        )
        grid = make_grid(enlarge(images, self._resolution // images.shape[1]), self._columns)
        save_png(self._run.fakes(images_seen), grid)
        self._write_image("images/fakes", grid, images_seen)

    def _write_image(self, tag: str, grid: np.ndarray, images_seen: int) -> None:
        with self._writing(images_seen):
            tf.summary.image(tag, grid[np.newaxis], description=self._describe(tag))

    def write_histograms(
        self, histograms: Iterable[tuple[str, np.ndarray]], images_seen: int
    ) -> None:
        """Tags and `[k 3]` float64 rows of left edge, right edge and count."""
        with self._writing(images_seen):
            for tag, rows in histograms:
                tf.summary.write(
                    tag, rows, metadata=create_summary_metadata(None, self._describe(tag))
                )

    def write_figures(self, figures: Mapping[str, float], images_seen: int) -> None:
        """One tick's figures: TensorBoard scalars and a line of metrics.jsonl."""
        step = self._step(images_seen)
        with self._writing(images_seen):
            for tag, value in figures.items():
                tf.summary.scalar(tag, value, description=self._describe(tag))
        # Losses are not finite when an update was skipped.
        self._run.metrics_log.append(images_seen, step, figures)

    @contextlib.contextmanager
    def _writing(self, images_seen: int) -> Iterator[None]:
        """Where `tf.summary` writes to the run; written when left.

        Raises:
          UserError: it can't be written, as when the disk is full.
        """
        try:
            with self._writer.as_default(step=self._step(images_seen)):
                yield
            self._writer.flush()
        except tf.errors.OpError as error:
            raise UserError(
                f"{self._run.path}: TensorBoard's events can't be written: {error.message}"
            ) from error

    def _step(self, images_seen: int) -> int:
        return images_seen // self._images_per_step

    def _describe(self, tag: str) -> str:
        unit = "kimg" if self._images_per_step > 1 else "images"
        return f"{describe(tag)} Steps: {unit}."

    def forget_after(self, images_seen: int) -> None:
        """Drops what was written past a checkpoint that is continued from, and broken lines.

        Call it once at the start too: TensorBoard hides what lies past a start, from the second on.
        """
        log = self._run.metrics_log
        log.cut_after(images_seen)
        self._images_per_step = log.images_per_step() or self._images_per_step
        start = event_pb2.Event(
            wall_time=time.time(),
            step=self._step(images_seen) + 1,
            session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START),
        )
        # Nothing public of TensorFlow 2 writes this kind of event.
        with self._writing(images_seen):
            tf.raw_ops.ImportEvent(writer=self._writer._resource, event=start.SerializeToString())

    def close(self) -> None:
        try:
            self._writer.close()
        except tf.errors.OpError as error:
            # What can't be written has been said before; here it would hide why the run ends.
            logging.warning("%s: %s", self._run.path, error.message)


def _is_one_hot(labels: np.ndarray | None) -> bool:
    """Whether every row of `[n classes]` names one class."""
    if labels is None:
        return False
    return bool(((labels == 1).sum(axis=1) == 1).all() and ((labels == 0) | (labels == 1)).all())


def progress_line(
    phase: Phase, alpha: float, images_seen: int, figures: Mapping[str, float], eta: float
) -> str:
    """One tick for people.

    Args:
      phase: being trained.
      alpha: at the tick.
      images_seen: at the tick.
      figures: of the tick.
      eta: seconds until the end of training.
    """
    skipped = sum(value for name, value in figures.items() if name.endswith("_skipped"))
    parts = [
        f"{phase.name:<16}",
        f"alpha {alpha:.3f}",
        f"kimg {images_seen / 1000:.1f}",
        f"{figures['speed/images_per_second']:.1f} img/s",
        f"{figures['speed/seconds_per_kimg']:.1f} s/kimg",
        f"ETA {format_duration(eta)}",
        f"D {figures['loss/discriminator']:.3f}",
    ]
    if "loss/generator" in figures:  # where it was trained in this tick
        parts.append(f"G {figures['loss/generator']:.3f}")
    if skipped:
        parts.append(f"{skipped:.0f} updates skipped")
    return "  ".join(parts)
