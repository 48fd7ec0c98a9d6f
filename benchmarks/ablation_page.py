"""The results of benchmarks/ablation.py, as a page and as JSON."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ablation_rows import RESOLUTION, Experiment, Row
from PIL import Image
from results_page import spread, write_section

_SAMPLES = (16, 4)  # columns and rows of a grid on the page
_SCRIPT = "ablation.py"

# The result of each finished run, by row and seed.
Results = Mapping[str, Mapping[int, dict[str, Any]]]


def read_results(
    experiment: Experiment, table: Mapping[str, Row], seeds: Sequence[int]
) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the results of finished runs by row and seed, without runs under other flags."""
    results: dict[str, dict[int, dict[str, Any]]] = {}
    for name, row in table.items():
        for seed in seeds:
            file = experiment.result_file(row, seed)
            if file.exists():
                result = json.loads(file.read_text())
                if result["flags"] == experiment.train_arguments(row, seed):
                    results.setdefault(name, {})[seed] = result
    return results


def summary(experiment: Experiment, results: Results) -> dict[str, Any]:
    """Return the results of the whole experiment, as JSON."""
    by_row = {}
    for name, found in results.items():
        good = [result for result in found.values() if not result["error"]]
        figures = (
            {key: [r["metrics"][key] for r in good] for key in good[0]["metrics"]} if good else {}
        )
        by_row[name] = {
            "swd": {
                key.removeprefix("swd/"): round(statistics.mean(values), 2)
                for key, values in figures.items()
                if key.startswith("swd/")
            },
            "ms_ssim": round(statistics.mean(figures["ms_ssim"]), 4) if good else None,
            "minutes": round(statistics.mean(r["seconds"] for r in found.values()) / 60, 1),
            "seeds": [seed for seed, result in found.items() if not result["error"]],
            "failed": [seed for seed, result in found.items() if result["error"]],
        }
    floors = [r["floor"] for found in results.values() for r in found.values() if r.get("floor")]
    return {
        "benchmark": "ablation",
        "kimg": experiment.kimg,
        "num_images": experiment.num_images,
        "floor": floors[0] if floors else None,
        "rows": by_row,
    }


def write_page(
    page: Path, experiment: Experiment, table: Mapping[str, Row], results: Results
) -> None:
    """Replace the text between the two comments of the page; create the page if there is none."""
    lines = ["", *_table(summary(experiment, results), table, results), ""]
    for name, row in table.items():
        seeds = [seed for seed in results.get(name, {}) if not results[name][seed]["error"]]
        if seeds:
            image = _save_samples(page.parent / "images", experiment, row, seeds[0])
            lines += [f"Row {name}:", "", f"![Row {name}](images/{image})", ""]
    write_section(page, lines, script=_SCRIPT, title="The ablation")


def _table(found: Mapping[str, Any], table: Mapping[str, Row], results: Results) -> Iterator[str]:
    levels = ("32", "16", "average")
    paper, here = ("CelebA: SWD, MS-SSIM", "bedroom"), "here: SWD 32 | 16 | average"
    yield f"| row | | {' | '.join(paper)} | {here} | MS-SSIM |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, row in table.items():
        published = [
            f"{swd:.2f}, {similarity:.4f}" for swd, similarity in (row.celeba, row.bedroom)
        ]
        figures = [""] * (len(levels) + 1)
        if name in found["rows"]:
            good = [r["metrics"] for r in results[name].values() if not r["error"]]
            keys = [*(f"swd/{level}" for level in levels), "ms_ssim"]
            figures = [spread([g[key] for g in good]) for key in keys]
        yield f"| {' | '.join([name, row.idea, *published, *figures])} |"
    floor = found["floor"]
    if floor:
        figures = [spread([floor[key]]) for key in (*(f"swd/{v}" for v in levels), "ms_ssim")]
        yield f"| | reals against other reals | | | {' | '.join(figures)} |"


def _save_samples(directory: Path, experiment: Experiment, row: Row, seed: int) -> str:
    """Save the first images of a run's last grid and return the file's name."""
    grids = experiment.run_dir(row, seed).glob("fakes-*.png")
    grid = max(grids, key=lambda path: float(path.stem.removeprefix("fakes-")))
    columns, lines = _SAMPLES
    with Image.open(grid) as image:
        pixels = np.asarray(image)[: lines * RESOLUTION, : columns * RESOLUTION]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"ablation-{row.name.replace('*', '-star')}.png"
    Image.fromarray(pixels).save(path, optimize=True)
    return path.name
