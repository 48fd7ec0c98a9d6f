"""The cost of the diagnosis' measurements, in that of training at the default cadence of ticks.

    python benchmarks/diagnosis_cost.py [--resolution=32] [--fmap_base=1024] [--fmap_max=128]
        [--batch_size=16] [--validation_images=64]

Takes processor time, of training steps and of measurements in turns, which a busy machine disturbs
less than seconds. On drawn shapes, in a phase that is so short that it is measured most often.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import tensorflow as tf

from pgan_tf.config import DataConfig, NetworkConfig, ScheduleConfig, TrainConfig
from pgan_tf.config.intervals import measurement_kimg
from pgan_tf.config.phases import Schedule
from pgan_tf.data.batches import read_batch
from pgan_tf.data.worker_data import WorkerData
from pgan_tf.diagnosis.measurements import Measurements
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.feeding import to_replicas
from tfrecords_tools.cli import prepare
from tfrecords_tools.format import open_pyramid

_TURNS = 7
_STEPS = 4


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--fmap_base", type=int, default=1024)
    parser.add_argument("--fmap_max", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--validation_images", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(measure(given, Path(directory, "shapes"))))


def measure(given: argparse.Namespace, data: Path) -> dict[str, float]:
    """Return processor seconds of 1 kimg of training and of a measurement, and the fraction."""
    arguments = ["--source=synthetic", "--num_images=2000", f"--resolution={given.resolution}"]
    prepare.main([*arguments, f"--output={data}"])
    pyramid = open_pyramid(data)
    config = TrainConfig(
        data=DataConfig(data_dir=str(data), validation_images=given.validation_images),
        network=NetworkConfig(fmap_base=given.fmap_base, fmap_max=given.fmap_max),
        schedule=ScheduleConfig(
            start_resolution=given.resolution, total_kimg=20, batch_size=given.batch_size
        ),
    ).for_data(resolution=given.resolution, channels=pyramid.channels, label_size=0)
    strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
    state = TrainState(config, strategy)
    schedule = Schedule(config.schedule, given.resolution)
    step = next(schedule.steps())
    batch = read_batch(WorkerData(pyramid, seed=1), step)
    inputs = to_replicas(strategy, state, [(step, batch)], stop_flags=(0.0, 0.0, 0.0))
    train_step = TrainStep(state, config, strategy, resolution=given.resolution, fading=False)
    measurements = Measurements(config, pyramid, state, replicas=1)
    training, measuring = [], []
    for turn in range(_TURNS + 1):
        begun = time.process_time()
        for _ in range(_STEPS):
            train_step(inputs).read()
        between = time.process_time()
        measurements.take(step.phase, 2000 * (turn + 1))
        if turn:  # the first builds the graph
            training.append((between - begun) * 1000 / (_STEPS * given.batch_size))
            measuring.append(time.process_time() - between)
    interval = measurement_kimg(config, step.phase)
    seconds, own = statistics.median(training), statistics.median(measuring)
    return {
        "training_cpu_seconds_per_kimg": round(seconds, 2),
        "measurement_cpu_seconds": round(own, 3),
        "kimg_between_measurements": interval,
        "fraction": round(own / (interval * seconds), 4),
    }


if __name__ == "__main__":
    main()
