"""Writing to a run directory: TensorBoard's events, `metrics.jsonl`, and image grids."""

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.histogram.metadata import create_summary_metadata
from tensorboard.plugins.hparams import api as hparams

from pgan_tf.config import TrainConfig, flags
from pgan_tf.reporting.grid_samples import GridSamples
from pgan_tf.reporting.tag_descriptions import describe_tag
from pgan_tf.runs.grids import Generate, save_png
from pgan_tf.runs.run_directory import RunDirectory
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid

Hyperparameter = bool | int | float | str


class Summaries:
    """Writes a run's scalars, histograms and grids to its directory.

    TensorBoard's steps are images, so that runs of any length compare. A run of an earlier version
    may have steps in kimg, and keeps them; each line of `metrics.jsonl` has its `step`.

    Attributes:
      samples: the samples in the grids.
    """

    def __init__(self, run: RunDirectory, config: TrainConfig, pyramid: Pyramid):
        """Open a new file of events.

        Args:
          run: the directory to write to.
          config: with the values filled in that come from the data.
          pyramid: the data, for the grid of reals and for labels.
        """
        self._run = run
        self._config = config
        self.samples = GridSamples(config, pyramid)
        self._images_per_step = 1
        self._writer = tf.summary.create_file_writer(str(run.path))

    def write_config(self, images_seen: int) -> None:
        """Write the configuration as TensorBoard's text, and as its hyperparameters."""
        text = "\n".join(f"    {line}" for line in flags.to_flagfile(self._config).splitlines())
        path = self._run.path.absolute()
        with self._writing(images_seen):
            tf.summary.text("config", text)
            # With a name, because runs of one name, or of equal values and no name, share a row.
            hparams.hparams(
                hyperparameters(self._config), trial_id=f"{path.parent.name}/{path.name}"
            )

    def write_text(self, tag: str, text: str, images_seen: int) -> None:
        """Write Markdown to TensorBoard."""
        with self._writing(images_seen):
            tf.summary.text(tag, text)

    def write_reals(self) -> None:
        """Write the grid of reals at the final resolution, once per run."""
        grid = self.samples.draw_reals()
        save_png(self._run.reals, grid)
        self._write_image("images/reals", grid, 0)

    def write_fakes(self, generate: Generate, images_seen: int, *, batch_size: int) -> None:
        """Write a grid of the EMA generator's images of the same latents every time."""
        grid = self.samples.draw_fakes(generate, batch_size=batch_size)
        save_png(self._run.fakes(images_seen), grid)
        self._write_image("images/fakes", grid, images_seen)

    def _write_image(self, tag: str, grid: np.ndarray, images_seen: int) -> None:
        with self._writing(images_seen):
            tf.summary.image(tag, grid[np.newaxis], description=self._describe(tag))

    def write_histograms(
        self, histograms: Iterable[tuple[str, np.ndarray]], images_seen: int
    ) -> None:
        """Write histograms: tags and `[k 3]` float64 rows of left edge, right edge and count."""
        with self._writing(images_seen):
            for tag, rows in histograms:
                tf.summary.write(
                    tag, rows, metadata=create_summary_metadata(None, self._describe(tag))
                )

    def write_scalars(self, scalars: Mapping[str, float], images_seen: int) -> None:
        """Write scalars by tag, to TensorBoard and as a line of `metrics.jsonl`."""
        step = self._step(images_seen)
        with self._writing(images_seen):
            for tag, value in scalars.items():
                tf.summary.scalar(tag, value, description=self._describe(tag))
        self._run.metrics_log.append(images_seen, step, scalars)

    @contextlib.contextmanager
    def _writing(self, images_seen: int) -> Iterator[None]:
        """Make `tf.summary` write to the run in the block, and flush it afterwards.

        Raises:
          UserError: the events can't be written, as when the disk is full.
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
        return f"{describe_tag(tag)} Steps: {unit}."

    def forget_after(self, images_seen: int) -> None:
        """Drop all that was written past a checkpoint that the run continues from.

        To be called at the start of every process, even of a new run: TensorBoard hides the events
        past a session start from the second session on.
        """
        log = self._run.metrics_log
        log.cut_after(images_seen)
        self._images_per_step = log.images_per_step() or self._images_per_step
        start = event_pb2.Event(
            wall_time=time.time(),
            step=self._step(images_seen) + 1,
            session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START),
        )
        # TensorFlow 2 has no public function that writes this kind of event.
        with self._writing(images_seen):
            tf.raw_ops.ImportEvent(writer=self._writer._resource, event=start.SerializeToString())

    def close(self) -> None:
        """Close the file of events."""
        try:
            self._writer.close()
        except tf.errors.OpError as error:
            # Raised before by the write itself; here it would hide the reason why the run ends.
            logging.warning("%s: %s", self._run.path, error.message)


def hyperparameters(config: TrainConfig) -> dict[str, Hyperparameter]:
    """Return the settings that change the training, for TensorBoard's HParams page.

    Args:
      config: with the values filled in that come from the data.

    Returns:
      By flag name, every option that a run can't be continued with other values of, and
      `total_kimg`; and the pyramid's name as `data`. Tables by resolution are text. Options
      without a value are left out.
    """
    values: dict[str, Hyperparameter] = {"data": Path(config.data.data_dir).name}
    for section in dataclasses.fields(config):
        options = getattr(config, section.name)
        for field in dataclasses.fields(options):
            if field.metadata.get("adjustable", True) and field.name != "total_kimg":
                continue
            value = getattr(options, field.name)
            if field.name == "latent_size":
                value = config.network.resolved_latent_size
            if isinstance(value, Mapping):
                value = ",".join(f"{key}:{entry}" for key, entry in sorted(value.items()))
            if value not in (None, ""):
                values[field.name] = value
    return values
