"""A thousand images: what helps against overfitting, and which loss finds a thousand modes.

    python benchmarks/small_data.py --input=/usr/share/datasets/fashion-mnist --out=runs/small-data

Cuts Fashion-MNIST to 1,000 and to 5,000 images at 32x32, trains each method on them, and compares
every snapshot with the test set, which no run sees: by SWD, MS-SSIM, and the Frechet distance of
features of a classifier of garments. Then trains three losses on garments as red, green and blue,
which have a thousand modes, and counts those. The commands are printed.

After each run its figures are kept in docs/results/small-data.json, and docs/results/small-data.md
is written: tables, curves and grids. Started again, it continues interrupted runs and skips those
whose figures are kept; --report runs nothing. Prints one line of JSON last: the tables.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import garments
from commands import Commands
from small_data_page import summary, write_page
from small_data_results import Results
from small_data_rows import (
    LOSSES,
    METHODS,
    OVERFITTING,
    Experiment,
    Run,
    mode_runs,
    overfitting_runs,
)

from pgan_tf.runs.metrics_log import MetricsLog
from tfrecords_tools.host import core_count

_RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"


def main() -> int:
    """Runs the experiment; returns 1 if a run failed."""
    given = _parse()
    experiment = Experiment(
        out=given.out.resolve(),
        kimg=given.kimg,
        modes_kimg=given.modes_kimg,
        fmap_base=given.fmap_base,
        fmap_max=given.fmap_max,
        num_images=given.num_images,
        num_mode_images=given.num_mode_images,
    )
    runs = [
        *overfitting_runs(given.methods, given.sizes, given.seeds),
        *mode_runs(given.losses, given.mode_images, given.seeds),
    ]
    results = Results(given.results / "small-data.json", experiment)
    page = given.results / "small-data.md"
    if not given.report:
        given.out.mkdir(parents=True, exist_ok=True)
        os.environ[garments.VARIABLE] = str(experiment.classifier)
        with Commands(threads=given.threads or core_count()) as commands:
            for run in runs:
                if results.get(run) is not None:
                    print(f"{run.name}: finished before", flush=True)
                    continue
                prepare(experiment, run, commands, given.input, epochs=given.epochs)
                results.add(run, train(experiment, run, commands))
                write_page(page, experiment, runs, results)
    write_page(page, experiment, runs, results)
    found = summary(runs, results)
    print(json.dumps(found))
    return int(bool(found["failed"]))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, help="the folder of Fashion-MNIST's four files")
    parser.add_argument("--out", type=Path, required=True, help="where data and runs go")
    parser.add_argument("--methods", type=_names(METHODS), default=list(METHODS))
    parser.add_argument("--losses", type=_names(LOSSES), default=list(LOSSES))
    parser.add_argument("--sizes", type=_numbers, default=[1000, 5000], help="numbers of images")
    parser.add_argument("--seeds", type=_numbers, default=[1, 2], help="such as 1,2")
    parser.add_argument("--kimg", type=float, default=100.0, help="length of a run")
    parser.add_argument("--modes_kimg", type=float, default=60.0, help="of a run for modes")
    parser.add_argument("--mode_images", type=int, default=50000, help="in color, to train on")
    parser.add_argument("--fmap_base", type=int, default=512)
    parser.add_argument("--fmap_max", type=int, default=32)
    parser.add_argument("--num_images", type=int, default=5000, help="that metrics compare")
    parser.add_argument("--num_mode_images", type=int, default=25600, help="to count modes in")
    parser.add_argument("--epochs", type=int, default=6, help="of the classifier")
    parser.add_argument("--threads", type=int, help="of a run; default: the cores")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="directory of the page")
    parser.add_argument("--report", action="store_true", help="only write the page")
    parser.add_argument("--smoke", action="store_true", help="seconds a run: does it work?")
    given = parser.parse_args()
    if not given.report and not given.input:
        parser.error("the following arguments are required: --input")
    if given.smoke:
        given.kimg = given.modes_kimg = 0.4
        given.fmap_base, given.fmap_max, given.epochs = 64, 8, 1
        given.num_images = given.num_mode_images = 64
        given.sizes, given.mode_images, given.seeds = [64], 64, given.seeds[:1]
        given.results = given.out
    return given


def _names(known: Sequence[str]) -> Any:
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"must be of {', '.join(known)}: {name}")
        return names

    return parse


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def prepare(
    experiment: Experiment, run: Run, commands: Commands, data: Path, *, epochs: int
) -> None:
    """Make the pyramids and the classifier that a run needs, unless they are there."""
    (test_images,) = data.glob("t10k-images-idx3-ubyte*")
    kind = "idx" if run.part == OVERFITTING else "mnist_rgb"
    train = ["--source", kind, "--input", str(data), "--num_images", str(run.images)]
    held_out = ["--source", "idx", "--input", str(test_images)]
    for pyramid, source in ((experiment.data_dir(run), train), (experiment.held_out, held_out)):
        if not pyramid.exists():
            error = commands.run("prepare-tfrecords", [*source, f"--output={pyramid}"])
            if error:
                raise SystemExit(f"{pyramid}: {error}")
    if not experiment.classifier.exists():
        accuracy = garments.save_classifier(experiment.classifier, data, epochs=epochs)
        print(f"classifier of garments: {accuracy:.4f} of the test set are right", flush=True)


def train(experiment: Experiment, run: Run, commands: Commands) -> dict[str, Any]:
    """Train, or continue, and evaluate a run.

    Returns:
      Its figures: the metrics of every snapshot, and the error if it failed.
    """
    error = commands.run("train", experiment.train_arguments(run))
    for arguments in experiment.evaluations(run):
        error = error or commands.run("evaluate", arguments)
    return read_figures(experiment.run_dir(run), error)


def read_figures(run_dir: Path, error: str | None) -> dict[str, Any]:
    """Return the metrics of a run's snapshots, oldest first, and its strength of augmentation."""
    by_kimg: dict[float, dict[str, float]] = {}
    floor: dict[str, float] = {}
    for file in sorted(run_dir.rglob("metrics-*.json")):
        evaluated = json.loads(file.read_text())
        by_kimg.setdefault(evaluated["images_seen"] / 1000, {}).update(evaluated["metrics"])
        floor.update(evaluated.get("floor") or {})
    rows = MetricsLog(run_dir / "metrics.jsonl").rows()
    strengths = [row.values["augment/p"] for row in rows if "augment/p" in row.values]
    return {
        "error": error,
        "curve": [{"kimg": kimg, **by_kimg[kimg]} for kimg in sorted(by_kimg)],
        "floor": floor,
        "strength": strengths[-1] if strengths else None,
    }


if __name__ == "__main__":
    sys.exit(main())
