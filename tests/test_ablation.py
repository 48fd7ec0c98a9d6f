"""The rows and the page of benchmarks/ablation.py; whole runs are left to its --smoke."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pgan_tf.config import TrainConfig, flags
from tests.helpers import presets

ROOT = Path(__file__).parent.parent


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import ablation_page
    import ablation_rows

    yield ablation_rows, ablation_page
    for name in ("ablation_page", "ablation_rows", "results_page"):
        del sys.modules[name]


@pytest.fixture
def experiment(modules, tmp_path):
    return modules[0].Experiment(
        out=tmp_path, data_dir="data", kimg=32.0, fmap_base=256, fmap_max=64, num_images=64
    )


def config_of(experiment, row) -> TrainConfig:
    return flags.parse_flagfile("\n".join(experiment.train_arguments(row, 1)), "row")


def steps_between(experiment, table, before, after):
    """The options that two rows do not share."""
    texts = (flags.to_flagfile(config_of(experiment, table[name])) for name in (before, after))
    first, second = ({*text.splitlines()[1:]} for text in texts)
    return {line.removeprefix("--").partition("=")[0] for line in first ^ second}


def test_each_row_differs_from_the_one_before_by_what_the_paper_names(modules, experiment):
    table = modules[0].rows(32.0)
    assert list(table) == ["a", "b", "c", "d", "e*", "e", "f", "g"]
    expected = {
        "ab": {"start_resolution", "stabilize_kimg", "fade_kimg"},
        "bc": {"batch_size", "ema_decay"},
        "de": {"minibatch_features", "stddev_group_size"},
        "ef": {"equalized_learning_rate", "learning_rate"},
        "fg": {"generator_norm"},
    }
    for (before, after), options in expected.items():
        assert steps_between(experiment, table, before, after) == options
    assert steps_between(experiment, table, "d", "e*") == {"minibatch_features"}
    kept = {"start_resolution", "stabilize_kimg", "batch_size", "equalized_learning_rate"}
    assert not kept & steps_between(experiment, table, "c", "d")


@pytest.mark.parametrize("row", ["a", "b", "c", "d", "e", "f", "g"])
def test_rows_are_those_of_configs(modules, experiment, row):
    """Scaled: what is on or off, and ratios, are the same as in configs/ablation."""
    ours = config_of(experiment, modules[0].rows(32.0)[row])
    papers = presets.config_of(*presets.presets()[f"bedroom_{row}"])
    for name in (
        *("normalize_latents", "equalized_learning_rate", "generator_activation", "fused_scale"),
        *("generator_norm", "output_activation", "discriminator_norm", "minibatch_features"),
    ):
        assert getattr(ours.network, name) == getattr(papers.network, name), name
    for name in ("adam_beta2", "discriminator_steps", "ema_update", "reset_optimizer"):
        assert getattr(ours.optimizer, name) == getattr(papers.optimizer, name), name
    assert ours.loss == papers.loss
    assert papers.schedule.batch_size == 2 * ours.schedule.batch_size
    assert papers.schedule.learning_rate == ours.schedule.learning_rate / 2
    assert papers.network.resolved_latent_size == 8 * ours.network.resolved_latent_size
    # Images after which an average has forgotten half, per image of a run of row g.
    halves = [
        np.log(0.5) / np.log(c.optimizer.ema_decay) * c.schedule.batch_size * steps
        for c in (ours, papers)
        for steps in [c.optimizer.discriminator_steps]
    ]
    assert halves[0] == pytest.approx(np.log(0.5) / np.log(0.99) * 8, rel=1e-2)
    assert halves[1] == pytest.approx(np.log(0.5) / np.log(0.999) * 16, rel=1e-2)


def finish(experiment, row, seed, *, average, error=None):
    """Write the files that a finished run leaves."""
    run = experiment.run_dir(row, seed)
    run.mkdir()
    for name, value in (("000000", 0), ("000004.500", 9), ("000032", 200)):
        Image.fromarray(np.full([320, 512], value, np.uint8)).save(run / f"fakes-{name}.png")
    metrics = {"swd/32": average, "swd/16": average, "swd/average": average, "ms_ssim": 0.25}
    result = {
        "flags": experiment.train_arguments(row, seed),
        "seconds": 60.0,
        "error": error,
        **({} if error else {"metrics": metrics, "floor": {}}),
    }
    experiment.result_file(row, seed).write_text(json.dumps(result))


def test_the_page_has_means_over_seeds_and_the_last_grids(modules, experiment, tmp_path):
    rows, page = modules
    table = rows.rows(32.0)
    finish(experiment, table["g"], 1, average=10.0)
    finish(experiment, table["g"], 2, average=20.0)
    finish(experiment, table["a"], 1, average=0.0, error="exit code 5: diverged")
    file = tmp_path / "docs" / "ablation.md"
    file.parent.mkdir()
    from results_page import section_marks

    begin, end = section_marks("ablation.py")
    file.write_text(f"# Before\n{begin}\nold\n{end}\nAfter\n")
    results = page.read_results(experiment, table, [1, 2])
    page.write_page(file, experiment, table, results)
    text = file.read_text()
    assert text.startswith("# Before\n") and text.endswith("\nAfter\n") and "old" not in text
    assert "| 15.0 (10.0, 20.0) | 0.250 (0.250, 0.250) |" in text
    assert text.count("failed") == 4
    assert np.asarray(Image.open(file.parent / "images" / "ablation-g.png")).min() == 200
    found = page.summary(experiment, results)["rows"]
    assert found["g"]["swd"]["average"] == 15 and found["g"]["seeds"] == [1, 2]
    assert found["a"]["failed"] == [1]


def test_runs_under_other_flags_do_not_count(modules, experiment):
    rows, page = modules
    table = rows.rows(32.0)
    finish(experiment, table["g"], 1, average=10.0)
    assert page.read_results(experiment, rows.rows(40.0), [1]) == {}
    assert list(page.read_results(experiment, table, [1])) == ["g"]
