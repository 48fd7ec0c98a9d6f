"""The paper's ablation (table 1) in small: Fashion-MNIST at 32x32 on a CPU.

    pgan-prepare-tfrecords --source=idx --input=/usr/share/datasets/fashion-mnist \
        --output=data/fashion
    python benchmarks/ablation.py --data_dir=data/fashion --out=runs/ablation

Trains every row with every seed as a run of pgan-train, and evaluates each by pgan-evaluate; the
commands are printed. After each run it writes the table and a grid of samples a row into
docs/results/ablation.md, between the two comments that mark the place. Started again, it continues
interrupted runs and skips finished ones; --report runs nothing.

The rows are the paper's with everything made smaller alike; docs/results/ablation.md lists how.
Prints one line of JSON last; for each row that has finished runs, means over seeds:

    swd        sliced Wasserstein distance times 1000, by resolution and on average
    ms_ssim    MS-SSIM of pairs of fakes
    minutes    of training, evaluation left out
    seeds      of the finished runs
    failed     of those that ended with an error, as training that diverges does
"""

import argparse
import concurrent.futures
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation_page import read_results, summary, write_page
from ablation_rows import BY_VALUE, Experiment, Row, rows
from commands import Commands

from pgan_tf.runs.metrics_log import MetricsLog
from tfrecords_tools.files import whole_file
from tfrecords_tools.host import core_count

_RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"


def main() -> int:
    """Runs the experiment; returns 1 if a run failed."""
    given = _parse()
    table = rows(given.kimg)
    names = [name for name in BY_VALUE if name in given.rows]
    experiment = Experiment(
        out=given.out.resolve(),
        data_dir=os.path.abspath(given.data_dir),
        kimg=given.kimg,
        fmap_base=given.fmap_base,
        fmap_max=given.fmap_max,
        num_images=given.num_images,
    )
    experiment.out.mkdir(parents=True, exist_ok=True)
    page = given.page
    tasks = [(table[name], seed) for seed in given.seeds for name in names]
    if not given.report:
        run_all(experiment, tasks, jobs=given.jobs, page=page, table=table)
    results = read_results(experiment, table, given.seeds)
    write_page(page, experiment, table, results)
    print(json.dumps(summary(experiment, results)))
    return int(any(result["error"] for found in results.values() for result in found.values()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", required=True, help="a grayscale or RGB pyramid from 32x32")
    parser.add_argument("--out", type=Path, required=True, help="where runs go")
    parser.add_argument("--rows", type=_names, default=BY_VALUE, help="such as a,g; all by default")
    parser.add_argument("--seeds", type=_numbers, default=[1, 2], help="such as 1,2")
    parser.add_argument("--kimg", type=float, default=32.0, help="length of each run")
    parser.add_argument("--fmap_base", type=int, default=256)
    parser.add_argument("--fmap_max", type=int, default=64)
    parser.add_argument("--num_images", type=int, default=4096, help="that metrics compare")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time, on a share of the cores"
    )
    parser.add_argument(
        "--page", type=Path, help="default: docs/results/ablation.md; with --smoke in OUT"
    )
    parser.add_argument("--report", action="store_true", help="only write the page")
    parser.add_argument("--smoke", action="store_true", help="seconds a run: does it work?")
    given = parser.parse_args()
    if given.smoke:
        given.kimg, given.fmap_base, given.fmap_max, given.num_images = 0.4, 64, 8, 64
    given.page = given.page or (given.out if given.smoke else _RESULTS) / "ablation.md"
    return given


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in BY_VALUE]
    if unknown:
        raise argparse.ArgumentTypeError(f"rows are {', '.join(sorted(BY_VALUE))}: {unknown[0]}")
    return names


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def run_all(
    experiment: Experiment,
    tasks: Sequence[tuple[Row, int]],
    *,
    jobs: int,
    page: Path,
    table: Mapping[str, Row],
) -> None:
    """Trains and evaluates what has not been, and writes the page after each run."""
    seeds = sorted({seed for _, seed in tasks})
    lock = threading.Lock()
    with Commands(threads=max(1, core_count() // jobs)) as commands:

        def work(task: tuple[Row, int]) -> None:
            run_one(experiment, *task, commands)
            with lock:
                write_page(page, experiment, table, read_results(experiment, table, seeds))

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for future in [pool.submit(work, task) for task in tasks]:
                future.result()


def run_one(experiment: Experiment, row: Row, seed: int, commands: Commands) -> None:
    """Trains, or continues, and evaluates one run, unless it has ended under the same flags."""
    arguments = experiment.train_arguments(row, seed)
    file = experiment.result_file(row, seed)
    if file.exists() and json.loads(file.read_text())["flags"] == arguments:
        print(f"{row.name} seed {seed}: finished before", flush=True)
        return
    error = commands.run("train", arguments)
    figures: dict[str, Any] = {}
    if not error:
        error = commands.run("evaluate", experiment.evaluate_arguments(row, seed))
    if not error:
        found = max(experiment.run_dir(row, seed).glob("metrics-*.json"))
        content = json.loads(found.read_text())
        figures = {key: content[key] for key in ("metrics", "floor")}
    result = {
        "row": row.name,
        "seed": seed,
        "flags": arguments,
        "num_images": experiment.num_images,
        "seconds": _training_seconds(experiment.run_dir(row, seed)),
        "error": error,
        **figures,
    }
    with whole_file(file) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")


def _training_seconds(run_dir: Path) -> float:
    """Of all ticks, those of a run that was interrupted too; without preparing graphs."""
    seconds, before = 0.0, 0
    for row in MetricsLog(run_dir / "metrics.jsonl").rows():
        kimg = (row.images_seen - before) / 1000
        seconds_per_kimg = row.values.get("speed/seconds_per_kimg")
        if seconds_per_kimg is not None and kimg > 0:
            seconds += seconds_per_kimg * kimg
            before = row.images_seen
    return round(seconds, 1)


if __name__ == "__main__":
    sys.exit(main())
