"""Speedup of a progressive run over one at full resolution from the start.

    python benchmarks/progressive_speedup.py --resolutions=32,64,128

Both runs train the same networks, with the same batch size, on the same number of images. A few
steps of every phase are timed, on noise; each phase's share of the images takes that long an image:

    progressive  sum over phases of images * seconds an image
    full         all images * seconds an image of the last stage, alpha 1

Prints one line of JSON last. For each resolution the seconds an image of every phase, and by
total_kimg the hours of both runs and their ratio. The totals: what the schedule takes until the
last stage has stabilized for stabilize_kimg, and --total_kimg. What is left out of both: start-up,
building graphs, grids and checkpoints.
"""

import argparse
import json
import statistics

import keras
from train_step import BenchmarkStep, timed

from pgan_tf.config import NetworkConfig, RunConfig, ScheduleConfig, TrainConfig
from pgan_tf.config.options import log2
from pgan_tf.config.phases import Schedule
from pgan_tf.step.microbatches import set_up_threads
from pgan_tf.training.prepare import set_up_tensorflow
from tfrecords_tools.host import core_count


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolutions", default="32,64,128", help="final ones")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--fmap_base", type=int, default=1024)
    parser.add_argument("--fmap_max", type=int, default=128)
    parser.add_argument("--stabilize_kimg", type=float, default=600.0)
    parser.add_argument("--fade_kimg", type=float, default=600.0)
    parser.add_argument("--total_kimg", type=float, default=12000.0)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--steps", type=int, default=5, help="timed in each phase")
    given = parser.parse_args()
    resolutions = [int(resolution) for resolution in given.resolutions.split(",")]
    largest = configure(max(resolutions), given)
    set_up_threads(largest)
    set_up_tensorflow(largest)
    results = {str(resolution): measure(resolution, given) for resolution in resolutions}
    print(
        json.dumps(
            {
                "benchmark": "progressive_speedup",
                "cores": core_count(),
                **vars(given),
                "results": results,
            }
        )
    )


def configure(resolution: int, given: argparse.Namespace) -> TrainConfig:
    """Return the configuration that both runs to a final resolution share."""
    return TrainConfig(
        network=NetworkConfig(
            resolution=resolution, fmap_base=given.fmap_base, fmap_max=given.fmap_max
        ),
        schedule=ScheduleConfig(batch_size=given.batch_size),
        run=RunConfig(precision=given.precision),
    )


def measure(resolution: int, given: argparse.Namespace) -> dict[str, object]:
    """Both runs' hours, extrapolated from a few steps of each phase."""
    stages = log2(resolution) - 2
    grown = given.stabilize_kimg + stages * (given.fade_kimg + given.stabilize_kimg)
    config = configure(resolution, given)
    seconds: dict[str, float] = {}
    totals = {}
    for total_kimg in (grown, given.total_kimg):
        schedule = Schedule(
            ScheduleConfig(
                stabilize_kimg=given.stabilize_kimg,
                fade_kimg=given.fade_kimg,
                total_kimg=total_kimg,
                batch_size=given.batch_size,
            ),
            resolution,
        )
        for phase in schedule.phases:
            if phase.name not in seconds:
                seconds[phase.name] = seconds_per_image(
                    config, phase.resolution, phase.fading, given
                )
        progressive = sum((p.end - p.start) * seconds[p.name] for p in schedule.phases)
        full = schedule.total_images * seconds[schedule.phases[-1].name]
        totals[f"{total_kimg:g}"] = {
            "progressive_hours": round(progressive / 3600, 3),
            "full_hours": round(full / 3600, 3),
            "speedup": round(full / progressive, 3),
        }
    shown = {name: float(f"{value:.4g}") for name, value in seconds.items()}
    return {"seconds_per_image": shown, "by_total_kimg": totals}


def seconds_per_image(
    config: TrainConfig, resolution: int, fading: bool, given: argparse.Namespace
) -> float:
    """By the median of a few steps of one phase."""
    alpha = 0.5 if fading else 1.0
    step = BenchmarkStep(config, resolution, given.batch_size, alpha, fading=fading)
    step.run()
    step.run()
    seconds = statistics.median(timed(step.run) for _ in range(given.steps)) / given.batch_size
    keras.backend.clear_session()
    return seconds


if __name__ == "__main__":
    main()
