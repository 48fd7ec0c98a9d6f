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

import numpy as np
from PIL import Image

from pgan_tf.cli import train
from pgan_tf.runs.metrics_log import MetricsLog
from tfrecords_tools.cli import prepare

COMMON = (
    *("--resolution=8", "--start_resolution=8", "--fmap_base=64", "--fmap_max=16"),
    *("--batch_size=32", "--total_kimg=19.2", "--stabilize_kimg=12.8", "--fade_kimg=2.56"),
    *("--learning_rate=0.003", "--ema_decay=0.98", "--tick_kimg=0.64", "--sample_kimg=100"),
    *("--checkpoint_kimg=100", "--network_kimg=100"),
)

# Flags of pgan-prepare-tfrecords, by name.
DATA = {
    "shapes": ("--source=synthetic", "--num_images=2000"),
    "few-shapes": ("--source=synthetic", "--num_images=32"),
    "grays": ("--source=images", "--labels=folders"),
    "noisy-grays": ("--source=images", "--labels=folders"),
}


class TinyRun(NamedTuple):
    """A run that is healthy, or made to fail.

    Attributes:
      flags: after those of `COMMON`.
      curves: tags that show its finding.
      data: that it trains on, of `DATA`.
      data_before: that a run before it trained on, whose networks it begins with; None if there is
        no such run.
    """

    flags: tuple[str, ...]
    curves: tuple[str, ...] = ()
    data: str = "shapes"
    data_before: str | None = None


HEALTHY = TinyRun(("--start_resolution=4", "--total_kimg=28.16"))

PROVOCATIONS = {
    "overfitting": TinyRun(
        ("--loss=logistic", "--r1_gamma=0.01", "--validation_images=16", "--fmap_max=64"),
        ("diagnosis/memorization", "diagnosis/separation"),
        data="few-shapes",
    ),
    "collapse": TinyRun(
        # Latents of one number, which are normalized to 1 or -1: the generator makes two images.
        ("--latent_size=1",),
        ("diagnosis/variety", "diagnosis/nearest"),
    ),
    "class_collapse": TinyRun(
        # The generator has learned that all images of a class are alike, and learns slowly.
        ("--learning_rate=1e-5", "--total_kimg=7.68"),
        ("diagnosis/class_variety", "diagnosis/variety"),
        data="noisy-grays",
        data_before="grays",
    ),
    "learns_nothing": TinyRun(
        ("--learning_rate=1e-7",), ("loss/gradient_norm", "diagnosis/distance")
    ),
    "learns_everything": TinyRun(
        ("--loss=logistic", "--r1_gamma=0", "--discriminator_steps=1000"),
        ("diagnosis/separation", "diagnosis/distance"),
    ),
    "penalty": TinyRun(("--loss=logistic", "--r1_gamma=1e6"), ("scores/real", "scores/fake")),
    "average_lags": TinyRun(
        ("--ema_decay=0.99999",), ("diagnosis/average_distance", "diagnosis/distance")
    ),
    # A learning rate that is highest at the end.
    "unconverged": TinyRun(
        ("--rampup_kimg=19.2",), ("diagnosis/distance", "diagnosis/average_distance")
    ),
    "not_finite": TinyRun(
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
    data = {name: prepare_data(given.runs / f"data-{name}", name) for name in DATA}
    for name in given.only.split(","):
        case = PROVOCATIONS[name]
        run = given.runs / name
        provoke(run, data, case)
        draw(given.output / f"diagnosis-{name}.png", run, name)
        print(json.dumps({name: findings(run)}))


def prepare_data(directory: Path, name: str) -> Path:
    """Make a pyramid at 8x8, of those in `DATA`."""
    arguments = [*DATA[name], "--resolution=8", f"--output={directory}", "--overwrite"]
    if name.endswith("grays"):
        folders = directory.with_name(f"{directory.name}-png")
        _draw_grays(folders, noise=60 if name == "noisy-grays" else 0)
        arguments.append(f"--input={folders}")
    if prepare.main(arguments) != 0:
        raise SystemExit(f"{directory}: not prepared")
    return directory


def _draw_grays(directory: Path, *, noise: float) -> None:
    """Draw a folder of dark and a folder of bright images, that differ by noise."""
    rng = np.random.default_rng(0)
    for name, gray in (("dark", 64), ("bright", 192)):
        folder = directory / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(200):
            levels = rng.normal(gray, noise, [8, 8])
            image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
            image.save(folder / f"{number:03d}.png")


def provoke(run: Path, data: Mapping[str, Path], case: TinyRun) -> None:
    """Train a run, which may end in an error if it is made to."""
    flags = case.flags
    if case.data_before:
        before = run.with_name(f"{run.name}-before")
        train.main([f"--data_dir={data[case.data_before]}", f"--run_dir={before}", *COMMON])
        flags += (f"--init_from={before}",)
    train.main([f"--data_dir={data[case.data]}", f"--run_dir={run}", *COMMON, *flags])


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
