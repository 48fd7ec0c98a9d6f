"""The results of benchmarks/small_data.py, as a page and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from results_page import spread, write_section
from small_data_results import Results
from small_data_rows import (
    LOSSES,
    METHODS,
    MODES,
    OVERFITTING,
    RESOLUTION,
    Experiment,
    Run,
)

from tfrecords_tools.files import whole_file

_SAMPLES = (16, 4)  # columns and rows of a grid on the page
_CURVES = {"fid": "Frechet distance", "swd/average": "SWD", "ms_ssim": "MS-SSIM"}

# The figures of finished runs.
Finished = Mapping[Run, dict[str, Any]]


def summary(runs: Sequence[Run], results: Results) -> dict[str, Any]:
    """Return the tables as JSON: the values at the end of each run, by method and images."""
    finished = results.finished(runs)
    return {
        "benchmark": "small_data",
        "runs": {run.name: figures["curve"][-1] for run, figures in finished.items()},
        "failed": [run.name for run in runs if results.get(run) and run not in finished],
    }


def write_page(page: Path, experiment: Experiment, runs: Sequence[Run], results: Results) -> None:
    """Write tables, curves and grids of the finished runs into the section of the page."""
    finished = results.finished(runs)
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    lines = [""]
    for size in sorted({run.images for run in finished if run.part == OVERFITTING}):
        of_size = {r: f for r, f in finished.items() if r.part == OVERFITTING and r.images == size}
        lines += [f"### {size:,} images", "", *_overfitting_table(of_size), ""]
        _draw_curves(images / f"small-data-{size}.png", of_size)
        lines += [f"![Metrics over training](images/small-data-{size}.png)", ""]
        lines += _grids(images, experiment, of_size)
    modes = {run: figures for run, figures in finished.items() if run.part == MODES}
    if modes:
        lines += ["### A thousand modes", "", *_modes_table(modes), ""]
        lines += _grids(images, experiment, modes)
    write_section(page, lines, script="small_data.py", title="Small data")


def _overfitting_table(finished: Finished) -> Iterator[str]:
    yield (
        "| method | Frechet distance at the end | lowest, at kimg | SWD | MS-SSIM | p at the end |"
    )
    yield "|---|---|---|---|---|---|"
    for method in METHODS:
        figures = [found for run, found in finished.items() if run.method == method]
        if not figures:
            continue
        at_end = [[found["curve"][-1][name] for found in figures] for name in _CURVES]
        lowest = [min(found["curve"], key=lambda point: point["fid"]) for found in figures]
        kimg = ", ".join(f"{point['kimg']:g}" for point in lowest)
        best = f"{spread([point['fid'] for point in lowest])}, at {kimg}"
        strengths = [found["strength"] for found in figures if found["strength"] is not None]
        strength = spread(strengths) if strengths else ""
        end = [spread(values) for values in at_end]
        yield f"| {method} | {end[0]} | {best} | {end[1]} | {end[2]} | {strength} |"
    floor = _floor(finished)
    if floor:
        values = [spread([floor[name]]) for name in _CURVES]
        yield f"| reals against other reals | {values[0]} | | {values[1]} | {values[2]} | |"


def _modes_table(finished: Finished) -> Iterator[str]:
    yield "| loss | modes of 1,000 | KL |"
    yield "|---|---|---|"
    for loss in LOSSES:
        ends = [found["curve"][-1] for run, found in finished.items() if run.method == loss]
        if ends:
            hit, divergence = ([end[f"modes/{name}"] for end in ends] for name in ("hit", "kl"))
            yield f"| {loss} | {spread(hit)} | {spread(divergence)} |"
    floor = _floor(finished)
    if floor:
        yield f"| reals | {floor['modes/hit']:.0f} | {floor['modes/kl']:.3f} |"


def _floor(finished: Finished) -> Mapping[str, float]:
    """Return the values of reals against other reals; nothing if no run has them."""
    return next((found["floor"] for found in finished.values() if found["floor"]), {})


def _draw_curves(path: Path, finished: Finished) -> None:
    """Draw each metric over training: a line a seed, a color a method, reals dashed."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, len(_CURVES))
    for (name, title), axis in zip(_CURVES.items(), axes, strict=True):
        for index, method in enumerate(METHODS):
            of_method = [f for run, f in finished.items() if run.method == method]
            for number, found in enumerate(of_method):
                points = [(point["kimg"], point[name]) for point in found["curve"]]
                label = None if number else method
                axis.plot(*zip(*points, strict=True), f"C{index}", marker=".", label=label)
        floor = _floor(finished)
        if floor:
            axis.axhline(floor[name], color="gray", linestyle="--", linewidth=0.9)
        axis.set_xlabel("kimg")
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3, which="both")
    axes[0].set_yscale("log")
    axes[0].legend(fontsize=8)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80)


def _grids(images: Path, experiment: Experiment, finished: Finished) -> Iterator[str]:
    """Save the first images of the last grid of each method's first seed, where it is here."""
    for method in dict.fromkeys(run.method for run in finished):
        run = min((r for r in finished if r.method == method), key=lambda r: r.seed)
        path = images / f"small-data-{method}-{run.images}.png"
        if experiment.run_dir(run).is_dir():
            _save_samples(path, experiment.run_dir(run))
        if path.exists():
            yield from (f"{method}:", "", f"![{method}](images/{path.name})", "")


def _save_samples(path: Path, run_dir: Path) -> None:
    grids = run_dir.glob("fakes-*.png")
    grid = max(grids, key=lambda file: float(file.stem.removeprefix("fakes-")))
    columns, rows = _SAMPLES
    with Image.open(grid) as image:
        pixels = np.asarray(image)[: rows * RESOLUTION, : columns * RESOLUTION]
    with whole_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, optimize=True)
