import dataclasses
import json
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

from pgan_tf.config import RunConfig, ScheduleConfig
from pgan_tf.config.phases import Phase
from pgan_tf.reporting.summaries import Summaries, Ticker, progress_line
from pgan_tf.runs.run_directory import RunDirectory
from tests.helpers.tiny import step_result, tiny_config, write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_tick_reports_means_sums_and_speed():
    clock = Clock()
    ticker = Ticker(1000, clock)
    for loss, skipped in ((1.0, 0.0), (3.0, 1.0)):
        ticker.add(step_result({"loss": loss, "updates/d_skipped": skipped}), data_wait=0.5)
    clock.now += 10
    figures = ticker.report(1200)
    assert figures == pytest.approx(
        {
            "loss": 2.0,
            "updates/d_skipped": 1.0,
            "speed/images_per_second": 20.0,
            "speed/seconds_per_kimg": 50.0,
            "speed/data_wait_fraction": 0.1,
        }
    )
    clock.now += 5
    assert ticker.report(1300) == pytest.approx(
        {
            "speed/images_per_second": 20.0,
            "speed/seconds_per_kimg": 50.0,
            "speed/data_wait_fraction": 0.0,
        }
    )


def test_a_figure_that_only_some_steps_have_is_their_mean():
    ticker = Ticker(0, Clock())
    for metrics in ({"d": 1.0}, {"d": 2.0, "g": 5.0}, {"d": 3.0}, {"d": 4.0, "g": 7.0}):
        ticker.add(step_result(metrics), data_wait=0.0)
    figures = ticker.report(100)
    assert (figures["d"], figures["g"]) == (2.5, 6.0)


def test_figures_are_the_same_to_the_last_bit_however_steps_are_called(rng):
    values = rng.normal(size=60).astype(np.float32)
    found = []
    for steps_per_call in (1, 7, 60):
        ticker = Ticker(0, Clock())
        for i in range(0, 60, steps_per_call):
            ticker.add(step_result({"d": values[i : i + steps_per_call]}), data_wait=0.0)
        found.append(ticker.report(100)["d"])
    assert found[0] == found[1] == found[2] == pytest.approx(values.mean(), rel=1e-5)


def test_what_is_not_training_does_not_count_as_speed():
    clock = Clock()
    ticker = Ticker(0, clock)
    clock.now += 7
    ticker.exclude(7, 100)
    clock.now += 2
    assert ticker.report(300)["speed/images_per_second"] == pytest.approx(100)


def test_a_tick_of_nothing_but_preparation_still_has_a_speed():
    clock = Clock()
    ticker = Ticker(0, clock)
    clock.now += 10
    ticker.exclude(10, 100)
    assert ticker.report(100)["speed/images_per_second"] == pytest.approx(10)


def test_the_progress_line_tells_where_training_is():
    phase = Phase(3, 16, True, 2000, 4000, 2000, 16, 0.001)
    figures = {
        "speed/images_per_second": 12.34,
        "speed/seconds_per_kimg": 81.0,
        "loss/discriminator": -1.5,
        "loss/generator": 2.25,
        "updates/generator_skipped": 0.0,
        "updates/discriminator_skipped": 2.0,
    }
    line = progress_line(phase, 0.25, 2500, figures, 100.0)
    assert " ".join(line.split()) == (
        "16x16 fade alpha 0.250 kimg 2.5 12.3 img/s 81.0 s/kimg ETA 1m 40s D -1.500 G 2.250 "
        "2 updates skipped"
    )


@pytest.fixture
def summaries(tmp_path, labelled_dir):
    run = RunDirectory(tmp_path / "run", fractions=True)
    config = tiny_config(labelled_dir, run.path, label_size=3, channels=1)
    run.open(config, open_pyramid(labelled_dir))
    return Summaries(run, config, open_pyramid(labelled_dir))


def test_reals_are_drawn_with_a_row_for_each_label(summaries, tmp_path, labelled_dir):
    summaries.write_reals()
    grid = np.asarray(Image.open(tmp_path / "run" / "reals.png"))
    assert grid.shape == (3 * 8, 16 * 8)
    full = open_pyramid(labelled_dir).level(8).read(np.arange(24))[:, 0]
    for row in range(3):
        for column in range(16):
            cell = grid[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
            (record,) = np.flatnonzero((full == cell).all(axis=(1, 2)))
            assert record % 3 == row


def test_fakes_are_drawn_at_the_final_resolution_with_the_same_latents_each_time(
    summaries, tmp_path
):
    shown = []

    def generate(latents, labels):
        shown.append((latents, labels))
        return np.zeros([len(latents), 4, 4, 1], np.float32)

    summaries.write_fakes(generate, 0, batch_size=48)
    summaries.write_fakes(generate, 32, batch_size=48)
    assert Image.open(tmp_path / "run" / "fakes-000000.032.png").size == (16 * 8, 3 * 8)
    np.testing.assert_array_equal(shown[0][0], shown[1][0])
    np.testing.assert_array_equal(shown[0][1].argmax(axis=1), np.repeat([0, 1, 2], 16))


def read_events(directory):
    """What TensorBoard makes of a directory's event files."""
    read = EventAccumulator(str(directory), size_guidance={"tensors": 0})
    read.Reload()
    return read


def scalars(read, tag):
    return [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in read.Tensors(tag)]


def test_figures_reach_tensorboard_and_metrics_jsonl(summaries, tmp_path):
    summaries.write_config(0)
    summaries.write_reals()
    summaries.write_figures({"loss/generator": 1.5}, 16)
    summaries.write_figures({"loss/generator": 2.5}, 32)
    summaries.close()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"images_seen": 16, "step": 16, "loss/generator": 1.5},
        {"images_seen": 32, "step": 32, "loss/generator": 2.5},
    ]
    read = read_events(tmp_path / "run")
    assert set(read.Tags()["tensors"]) == {
        "config",
        "images/reals",
        "loss/generator",
        "_hparams_/session_start_info",
    }
    assert scalars(read, "loss/generator") == [(16, 1.5), (32, 2.5)]
    metadata = read.SummaryMetadata("loss/generator")
    assert "What the generator minimises" in metadata.summary_description
    assert metadata.summary_description.endswith("Steps: images.")
    config = tf.make_ndarray(read.Tensors("config")[0].tensor_proto).item()
    assert b"--fade_kimg=0.032" in config
    start = parse_session_start_info_plugin_data(
        read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    )
    assert start.hparams["fmap_max"].number_value == 8
    assert start.hparams["data"].string_value == "labelled"


def test_figures_that_are_not_finite_are_null_in_metrics_jsonl(summaries, tmp_path):
    summaries.write_figures({"loss/generator": float("nan"), "speed": 1.0}, 16)
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {
        "images_seen": 16,
        "step": 16,
        "loss/generator": None,
        "speed": 1.0,
    }


def test_events_that_can_not_be_written_are_a_users_error(summaries, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.summary, "scalar", fail)
    with pytest.raises(UserError, match="TensorBoard's events can't be written: No space left"):
        summaries.write_figures({"loss/generator": 1.0}, 100)


def summaries_of_whole_kimg(labelled_dir, run_dir, **options):
    """Of a run that reports every kimg, unless told otherwise."""
    config = tiny_config(labelled_dir, run_dir, label_size=3, channels=1)
    config = dataclasses.replace(
        config,
        schedule=ScheduleConfig(stabilize_kimg=2, fade_kimg=2, total_kimg=9, batch_size=8),
        run=RunConfig(run_dir=str(run_dir), **options),
    )
    run = RunDirectory(run_dir)
    run.open(config, open_pyramid(labelled_dir))
    summaries = Summaries(run, config, open_pyramid(labelled_dir))
    return run, summaries


def test_steps_are_kimg_where_nothing_happens_within_one(labelled_dir, tmp_path):
    run, summaries = summaries_of_whole_kimg(labelled_dir, tmp_path / "run")
    summaries.write_figures({"loss/generator": 1.5}, 1008)
    summaries.write_figures({"loss/generator": 2.5}, 2000)
    summaries.write_fakes(lambda z, _: np.zeros([len(z), 8, 8, 1], "f4"), 2000, batch_size=48)
    summaries.close()
    read = read_events(run.path)
    assert scalars(read, "loss/generator") == [(1, 1.5), (2, 2.5)]
    assert [event.step for event in read.Tensors("images/fakes")] == [2]
    assert read.SummaryMetadata("loss/generator").summary_description.endswith("Steps: kimg.")


@pytest.mark.parametrize("first", [1.0, 0.5])
def test_a_continued_run_keeps_counting_as_it_began(labelled_dir, tmp_path, first):
    run, summaries = summaries_of_whole_kimg(labelled_dir, tmp_path / "run", tick_kimg=first)
    summaries.write_figures({"loss/generator": 1.0}, 1008)
    summaries.close()
    run.close()
    run, summaries = summaries_of_whole_kimg(labelled_dir, run.path, tick_kimg=1.5 - first)
    summaries.forget_after(1008)
    summaries.write_figures({"loss/generator": 2.0}, 2000)
    summaries.close()
    lines = [json.loads(line) for line in run.metrics_log.path.read_text().splitlines()]
    assert [line["step"] for line in lines] == ([1, 2] if first == 1.0 else [1008, 2000])


def test_tensorboard_forgets_what_lies_past_the_checkpoint_continued_from(labelled_dir, tmp_path):
    def process(continued_from, *ticks):
        # Event files are read in the order of their names, which begin with the second.
        time.sleep(1.01 - time.time() % 1)
        run, summaries = summaries_of_whole_kimg(labelled_dir, tmp_path / "run")
        summaries.forget_after(1000 * continued_from)
        for kimg, loss in ticks:
            summaries.write_figures({"loss/generator": loss}, 1000 * kimg)
        # Not closed, as by a SIGKILL.
        run.close()
        return scalars(read_events(run.path), "loss/generator")

    first = [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert process(0, *first) == first
    assert process(2, (3, 30.0)) == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert process(2) == [(1, 1.0), (2, 2.0)]


def test_histograms_reach_tensorboard(summaries, tmp_path):
    rows = np.array([[0.0, 1.0, 5.0], [1.0, 2.0, 7.0]])
    summaries.write_histograms([("weights_generator/conv/kernel", rows)], 16)
    summaries.close()
    read = read_events(tmp_path / "run")
    (event,) = read.Tensors("weights_generator/conv/kernel")
    np.testing.assert_array_equal(tf.make_ndarray(event.tensor_proto), rows)
    metadata = read.SummaryMetadata("weights_generator/conv/kernel")
    assert metadata.plugin_data.plugin_name == "histograms"


def test_labels_of_which_several_may_hold_are_no_rows_of_the_grid(tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, [24, 3]).astype(np.float32)
    data = write_pyramid(tmp_path / "attributes", resolution=8, channels=1, labels=labels)
    run = RunDirectory(tmp_path / "run")
    config = tiny_config(data, run.path, label_size=3, channels=1)
    run.open(config, open_pyramid(data))
    summaries = Summaries(run, config, open_pyramid(data))
    summaries.write_reals()
    assert Image.open(run.reals).size == (16 * 8, 10 * 8)
    rows = np.array(summaries.label_rows)
    assert rows.shape == (160, 3)
    assert {tuple(row) for row in rows} == {tuple(row) for row in labels}


def test_figures_past_a_checkpoint_and_broken_lines_are_dropped(summaries, tmp_path):
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text('{"images_seen": 8}\n{"images_seen": 16}\n{"images_seen": 24}\n{"images_s')
    summaries.forget_after(16)
    assert metrics.read_text() == '{"images_seen": 8}\n{"images_seen": 16}\n'
