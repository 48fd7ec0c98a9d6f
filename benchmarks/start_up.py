"""Seconds from a run's start to its first step, at stage switches, and of waiting for data.

    python benchmarks/start_up.py [--stage_kimg=0.5] [--work_dir=/tmp] [-- FLAGS OF PGAN-TRAIN]

Draws labelled shapes at 32x32, trains on them by the command, as a user would, through all stages
in a short time, and prints one line of JSON last. Without flags of one's own, it does so with
configs/demo.flags and with configs/fashion_mnist_32.flags. For each:

    first_step_seconds  from the command to the end of its first step
    switch_seconds      for each phase, from the last figures of the one before to the end of its
                        first step: grids, networks and checkpoints written, and its graph made
    longest_switch_seconds  of these
    prepare_seconds     of that, the first step alone
    data_wait           for each stage, the largest part of a tick that steps waited for images
    targets             what the project wants to reach on two cores of its test machine
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pgan_tf.runs.metrics_log import MetricsLog
from tfrecords_tools.host import core_count

TARGETS = {"first_step_seconds": 20, "longest_switch_seconds": 10, "data_wait": 0.02}
_ROOT = Path(__file__).resolve().parent.parent
_CONFIGS = ("demo", "fashion_mnist_32")
_PREPARED = re.compile(r"^(\d+x\d+ \w+): prepared in ([\d.]+) s")
_TICK = re.compile(r"^\d+x\d+ \w+ +alpha ")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage_kimg", type=float, default=0.5, help="length of each phase")
    parser.add_argument("--work_dir", default=None)
    parser.add_argument("flags", nargs="*", help="of pgan-train, in place of the two flagfiles")
    given = parser.parse_args()
    named = {name: [f"--flagfile={_ROOT / 'configs' / name}.flags"] for name in _CONFIGS}
    results = {}
    with tempfile.TemporaryDirectory(prefix="start-up-", dir=given.work_dir) as name:
        directory = Path(name)
        draw_shapes(directory / "data")
        for run, flags in ({"given": given.flags} if given.flags else named).items():
            results[run] = measure(directory / "data", directory / run, flags, given.stage_kimg)
            sys.stderr.write(f"{run}: {results[run]}\n")
    load = round(os.getloadavg()[0], 1)
    cores = core_count()
    shown = {"benchmark": "start_up", "cores": cores, "load": load, **results, "targets": TARGETS}
    print(json.dumps(shown))


def draw_shapes(directory: Path) -> None:
    """Prepares a pyramid."""
    command = [sys.executable, "-m", "tfrecords_tools.cli.prepare", "--source=synthetic"]
    command += ["--num_images=4000", "--resolution=32", "--labels=classes"]
    subprocess.run([*command, f"--output={directory}"], check=True, stdout=subprocess.DEVNULL)


def measure(
    data_dir: Path, run_dir: Path, flags: list[str], stage_kimg: float
) -> dict[str, object]:
    """Figures of one run."""
    # 4x4 has one phase, every other stage two.
    total = stage_kimg * 7
    command = [sys.executable, "-m", "pgan_tf.cli.train", *flags]
    command += [f"--data_dir={data_dir}", f"--run_dir={run_dir}", f"--total_kimg={total:g}"]
    command += [f"--stabilize_kimg={stage_kimg:g}", f"--fade_kimg={stage_kimg:g}"]
    first_step = 0.0
    switches, prepared = {}, {}
    started = ended = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            now = time.monotonic()
            if found := _PREPARED.match(line):
                phase, seconds = found.groups()
                prepared[phase] = float(seconds)
                if not first_step:
                    first_step = now - started
                else:
                    switches[phase] = round(now - ended, 2)
            elif _TICK.match(line):
                ended = now
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed with code {process.returncode}")
    return {
        "first_step_seconds": round(first_step, 2),
        "switch_seconds": switches,
        "longest_switch_seconds": max(switches.values()),
        "prepare_seconds": prepared,
        "data_wait": data_wait(MetricsLog(run_dir / "metrics.jsonl")),
    }


def data_wait(log: MetricsLog) -> dict[str, float]:
    """The largest fraction of a tick that was spent waiting for images, by resolution."""
    longest: dict[str, float] = {}
    for row in log.rows():
        fraction = row.values.get("speed/data_wait_fraction")
        if fraction is not None:
            stage = f"{row.values['progress/resolution']:g}"
            fraction = round(fraction, 4)
            longest[stage] = max(longest.get(stage, 0.0), fraction)
    return longest


if __name__ == "__main__":
    main()
