"""Runs that are made to fail, and their pictures in docs/guide/troubleshooting.md.

    python benchmarks/diagnosis.py --runs=/tmp/failing --output=docs/images [--only=collapse,...]

Each takes some seconds on two CPU cores. `tests/integration/test_diagnosis.py` holds `pgan-train`
to finding the same, and to finding nothing in a healthy run.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pgan_tf.cli import train
from pgan_tf.runs.metrics_log import MetricsLog
from tfrecords_tools.cli import prepare

COMMON = (
    *("--resolution=8", "--start_resolution=8", "--fmap_base=64", "--fmap_max=16"),
    *("--batch_size=32", "--total_kimg=19.2", "--stabilize_kimg=12.8", "--fade_kimg=2.56"),
    *("--learning_rate=0.003", "--ema_decay=0.98", "--tick_kimg=0.64", "--sample_kimg=100"),
    *("--checkpoint_kimg=100", "--network_kimg=100"),
)
HEALTHY = ("--start_resolution=4", "--total_kimg=28.16")


class Provocation(NamedTuple):
    """A run that is made to fail.

    Attributes:
      flags: after those of `COMMON`.
      curves: tags that show it.
      few_images: whether it trains on few images.
    """

    flags: tuple[str, ...]
    curves: tuple[str, ...]
    few_images: bool = False


PROVOCATIONS = {
    "overfitting": Provocation(
        ("--loss=logistic", "--r1_gamma=0.01", "--validation_images=16", "--fmap_max=64"),
        ("diagnosis/memorization", "diagnosis/separation"),
        few_images=True,
    ),
    "collapse": Provocation(
        # Latents of one number, which are normalized to 1 or -1: the generator makes two images.
        ("--latent_size=1",),
        ("diagnosis/variety", "diagnosis/nearest"),
    ),
    "learns_nothing": Provocation(
        ("--learning_rate=1e-7",), ("loss/gradient_norm", "diagnosis/distance")
    ),
    "learns_everything": Provocation(
        ("--loss=logistic", "--r1_gamma=0", "--discriminator_steps=1000"),
        ("diagnosis/separation", "diagnosis/distance"),
    ),
    "penalty": Provocation(("--loss=logistic", "--r1_gamma=1e6"), ("scores/real", "scores/fake")),
    "average_lags": Provocation(
        ("--ema_decay=0.99999",), ("diagnosis/average_distance", "diagnosis/distance")
    ),
    # A learning rate that is highest at the end.
    "unconverged": Provocation(
        ("--rampup_kimg=19.2",), ("diagnosis/distance", "diagnosis/average_distance")
    ),
    "not_finite": Provocation(
        ("--learning_rate=1e6", "--max_skipped_updates=0"),
        ("updates/discriminator_skipped", "updates/generator_skipped"),
    ),
}


def main() -> None:
    """Train the runs, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="directory for data and runs")
    parser.add_argument("--output", type=Path, required=True, help="directory for the pictures")
    parser.add_argument("--only", default=",".join(PROVOCATIONS), help="separated by commas")
    given = parser.parse_args()
    data = {few: prepare_data(given.runs / f"data-{few}", few_images=few) for few in (True, False)}
    for name in given.only.split(","):
        case = PROVOCATIONS[name]
        run = given.runs / name
        provoke(run, data[case.few_images], case.flags)
        draw(given.output / f"diagnosis-{name}.png", run, name)
        print(json.dumps({name: findings(run)}))


def prepare_data(directory: Path, *, few_images: bool) -> Path:
    """Make a pyramid of drawn shapes at 8x8."""
    count = 32 if few_images else 2000
    arguments = ["--source=synthetic", f"--num_images={count}", "--resolution=8"]
    if prepare.main([*arguments, f"--output={directory}", "--overwrite"]) != 0:
        raise SystemExit(f"{directory}: not prepared")
    return directory


def provoke(run: Path, data: Path, flags: tuple[str, ...]) -> None:
    """Train a run, which may end in an error if it is made to."""
    train.main([f"--data_dir={data}", f"--run_dir={run}", *COMMON, *flags])


def findings(run: Path) -> Mapping[str, Any]:
    """Return the findings in a run's `diagnosis.json` by name."""
    content = json.loads((run / "diagnosis.json").read_text())
    return {finding["name"]: finding for finding in content["findings"]}


def draw(path: Path, run: Path, name: str) -> None:
    """Draw the curves that show a finding, and since when there is one."""
    from matplotlib.figure import Figure

    rows = MetricsLog(run / "metrics.jsonl").rows()
    figure = Figure(figsize=(4.4, 2.0), layout="constrained")
    axis = figure.subplots()
    for tag in PROVOCATIONS[name].curves:
        points = [(row.images_seen / 1000, row.values.get(tag)) for row in rows]
        known = [(kimg, value) for kimg, value in points if value is not None]
        axis.plot(*zip(*known, strict=True), label=tag, linewidth=1.3)
    since = findings(run)[name]["since"] / 1000
    axis.axvspan(since, rows[-1].images_seen / 1000, color="red", alpha=0.12, linewidth=0)
    axis.set_xlabel("kimg")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    figure.savefig(path, format="png", dpi=80)


if __name__ == "__main__":
    main()
