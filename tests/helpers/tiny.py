"""Small data and configurations, written independently of the tool that prepares pyramids."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pgan_tf.config import (
    DataConfig,
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    TrainConfig,
)
from pgan_tf.step.inputs import IterationInputs, StepInputs
from pgan_tf.step.outputs import StepResult


def write_pyramid(directory: Path, *, resolution, channels, count=24, labels=None, seed=0) -> Path:
    """Writes random images as the original's exporter would, with TensorFlow's own writer."""
    directory.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    level = rng.integers(0, 256, [count, channels, resolution, resolution]).astype(np.float32)
    while resolution >= 4:
        path = directory / f"{directory.name}-r{resolution.bit_length() - 1:02d}.tfrecords"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for image in np.clip(np.rint(level), 0, 255).astype(np.uint8):
                writer.write(_example(image))
        level = level.reshape(count, channels, resolution // 2, 2, resolution // 2, 2).mean((3, 5))
        resolution //= 2
    if labels is not None:
        with (directory / f"{directory.name}-rxx.labels").open("wb") as file:
            np.save(file, labels.astype(np.float32))
    return directory


def _example(image: np.ndarray) -> bytes:
    feature = {
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=image.shape)),
        "data": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(
        deterministic=True
    )


def tiny_config(data_dir="", run_dir="", *, label_size=0, channels=3, **run) -> TrainConfig:
    """8x8, eight feature maps, three phases of 32 images each."""
    return TrainConfig(
        data=DataConfig(data_dir=str(data_dir)),
        network=NetworkConfig(
            resolution=8, fmap_base=32, fmap_max=8, channels=channels, label_size=label_size
        ),
        schedule=ScheduleConfig(
            stabilize_kimg=0.032, fade_kimg=0.032, total_kimg=0.096, batch_size=8
        ),
        optimizer=OptimizerConfig(ema_decay=0.9),
        run=RunConfig(
            run_dir=str(run_dir),
            **{"tick_kimg": 0.016, "sample_kimg": 0.032, "checkpoint_kimg": 0.032, **run},
        ),
    )


def step_result(metrics, stop_flags=(0.0, 0.0, 0.0)) -> StepResult:
    """Return the result of a call of one step, or of several if each scalar is a list."""
    columns = [np.atleast_1d(np.asarray(value, np.float32)) for value in metrics.values()]
    columns += [np.full(len(columns[0]), flag, np.float32) for flag in stop_flags]
    return StepResult(tuple(metrics), tf.constant(np.stack(columns, axis=1)))


def each_step(inputs: StepInputs) -> list[IterationInputs]:
    """Return the inputs of each step of a call."""
    return [inputs.at(index) for index in range(int(inputs.count))]
