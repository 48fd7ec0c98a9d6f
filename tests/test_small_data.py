"""The runs and the page of benchmarks/small_data.py; whole runs are left to its --smoke."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pgan_tf.config import flags

ROOT = Path(__file__).parent.parent
MODULES = ("small_data_rows", "small_data_results", "small_data_page", "results_page")


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import small_data_page
    import small_data_results
    import small_data_rows

    yield small_data_rows, small_data_results, small_data_page
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture
def experiment(modules, tmp_path):
    return modules[0].Experiment(
        out=tmp_path,
        kimg=160.0,
        modes_kimg=100.0,
        fmap_base=128,
        fmap_max=32,
        num_images=64,
        num_mode_images=64,
    )


def config_of(experiment, run):
    return flags.parse_flagfile("\n".join(experiment.train_arguments(run)), "run")


def test_methods_differ_by_what_their_names_say_alone(modules, experiment):
    rows = modules[0]
    runs = {run.method: run for run in rows.overfitting_runs(list(rows.METHODS), [1000], [1])}
    configs = {method: config_of(experiment, run) for method, run in runs.items()}
    assert all(config.schedule == configs["none"].schedule for config in configs.values())
    augmented = {method: config.augment.augment for method, config in configs.items()}
    assert augmented == {
        "none": "none",
        "ada": "ada",
        "diffaugment": "diffaugment",
        "rpgan": "none",
        "rpgan-ada": "ada",
    }
    assert configs["ada"].loss == configs["none"].loss == configs["diffaugment"].loss
    assert configs["rpgan"].loss == configs["rpgan-ada"].loss
    assert configs["rpgan"].loss.r1_gamma == configs["none"].loss.r1_gamma


def test_smallest_data_come_first_and_all_seeds_before_larger_ones(modules):
    runs = modules[0].overfitting_runs(["none", "ada"], [1000, 5000], [1, 2])
    assert [run.name for run in runs[:3]] == [
        "none-1000-seed1",
        "ada-1000-seed1",
        "none-1000-seed2",
    ]
    assert [run.images for run in runs] == [1000] * 4 + [5000] * 4


def figures(distances, *, strength=None, error=None):
    curve = [
        {"kimg": 80.0 * (i + 1), "fid": value, "swd/average": 20.0, "ms_ssim": 0.25}
        for i, value in enumerate(distances)
    ]
    return {"error": error, "curve": curve, "floor": {}, "strength": strength}


def test_figures_are_kept_for_the_flags_that_they_were_made_with(modules, experiment, tmp_path):
    rows, results, _ = modules
    run = rows.Run(rows.OVERFITTING, "ada", 1000, 1)
    file = tmp_path / "results.json"
    results.Results(file, experiment).add(run, figures([9.0], strength=0.1))
    assert results.Results(file, experiment).get(run)["strength"] == 0.1
    assert json.loads(file.read_text())[run.name]["flags"]["augment"] == "ada"
    longer = rows.dataclasses.replace(experiment, kimg=200.0)
    assert results.Results(file, longer).get(run) is None


def test_the_page_has_the_end_and_the_lowest_distance_of_each_method(modules, experiment, tmp_path):
    rows, results, page = modules
    kept = results.Results(tmp_path / "results.json", experiment)
    runs = rows.overfitting_runs(["none", "ada"], [1000], [1, 2])
    runs += rows.mode_runs(["rpgan"], 500, [1])
    for run, distances in zip(runs, ([20, 40], [10, 12], [22, 44], [8, 6]), strict=False):
        kept.add(run, figures(distances, strength=0.3 if run.method == "ada" else None))
    modes = {"error": None, "curve": [{"kimg": 100.0, "modes/hit": 990.0, "modes/kl": 0.125}]}
    reals = {"modes/hit": 1000.0, "modes/kl": 0.02}
    kept.add(runs[4], {**modes, "floor": reals, "strength": None})
    experiment.run_dir(runs[0]).mkdir()
    for name, value in (("000000", 0), ("000160", 200)):
        picture = Image.fromarray(np.full([320, 512], value, np.uint8))
        picture.save(experiment.run_dir(runs[0]) / f"fakes-{name}.png")
    file = tmp_path / "page" / "small-data.md"
    file.parent.mkdir()
    page.write_page(file, experiment, runs, kept)
    text = file.read_text()
    assert "| none | 42.0 (40.0, 44.0) | 21.0 (20.0, 22.0), at 80, 80 |" in text
    assert "| ada | 9.0 (12.0, 6.0) | 8.0 (10.0, 6.0), at 80, 160 |" in text
    assert "| 0.300 (0.300, 0.300) |" in text
    assert "| rpgan | 990.0 | 0.125 |\n| reals | 1000 | 0.020 |" in text
    grid = file.parent / "images" / "small-data-none-1000.png"
    assert np.asarray(Image.open(grid)).min() == 200
    assert Image.open(file.parent / "images" / "small-data-1000.png").size[0] > 100


def test_a_failed_run_is_told_and_does_not_count(modules, experiment, tmp_path):
    rows, results, page = modules
    run = rows.Run(rows.OVERFITTING, "none", 1000, 1)
    kept = results.Results(tmp_path / "results.json", experiment)
    kept.add(run, figures([], error="exit code 5: diverged"))
    assert kept.finished([run]) == {}
    assert page.summary([run], kept) == {
        "benchmark": "small_data",
        "runs": {},
        "failed": [run.name],
    }
