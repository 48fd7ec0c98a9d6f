import dataclasses
import json
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

from pgan_tf.config import RunConfig, ScheduleConfig, TrainConfig
from pgan_tf.reporting.summaries import Summaries, hyperparameters
from pgan_tf.runs.grids import to_display
from pgan_tf.runs.run_directory import RunDirectory
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.shape import Base
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.writing import writer


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
        return np.zeros([len(latents), 4, 4, 1], np.uint8)

    summaries.write_fakes(generate, 0, batch_size=48)
    summaries.write_fakes(generate, 32, batch_size=48)
    assert Image.open(tmp_path / "run" / "fakes-000000.032.png").size == (16 * 8, 3 * 8)
    np.testing.assert_array_equal(shown[0][0], shown[1][0])
    np.testing.assert_array_equal(shown[0][1].argmax(axis=1), np.repeat([0, 1, 2], 16))


@pytest.mark.parametrize(("channels", "bits", "mode"), [(4, 8, "RGB"), (2, 8, "L"), (1, 16, "L")])
def test_grids_of_rectangles_have_8_bits_and_show_alpha(tmp_path, channels, bits, mode):
    base = Base(height=4, width=6)
    source = SyntheticSource(count=6, resolution=8, base=base, channels=channels, bits=bits)
    writer.write_pyramid(source, tmp_path / "data", writer.WriteOptions(), flags={}, say=print)
    pyramid = open_pyramid(tmp_path / "data")
    run = RunDirectory(tmp_path / "run")
    config = tiny_config(tmp_path / "data", run.path, channels=channels)
    config = dataclasses.replace(
        config, network=dataclasses.replace(config.network, base=base, bits=bits)
    )
    run.open(config, pyramid)
    summaries = Summaries(run, config, pyramid)
    summaries.write_reals()
    summaries.write_fakes(
        lambda z, _: np.zeros([len(z), 4, 6, channels], np.uint8), 0, batch_size=160
    )
    summaries.close()
    reals, fakes = Image.open(run.reals), Image.open(run.fakes(0))
    assert (reals.size, reals.mode) == (fakes.size, fakes.mode) == ((16 * 12, 10 * 8), mode)
    cells = np.asarray(reals).reshape(10, 8, 16, 12, -1).swapaxes(1, 2).reshape(160, 8, 12, -1)
    shown = to_display(pyramid.level(8).read(np.arange(6)).transpose(0, 2, 3, 1))
    assert all((shown == cell).all(axis=(1, 2, 3)).any() for cell in cells)
    # Fakes of zeros are black, or show the checkerboard where that is transparent.
    assert len(np.unique(np.asarray(fakes))) == (2 if channels in (2, 4) else 1)
    (event,) = read_events(run.path).Tensors("images/fakes")
    picture = tf.io.decode_png(tf.make_ndarray(event.tensor_proto)[2]).numpy()
    np.testing.assert_array_equal(picture.squeeze(), np.asarray(fakes))


def read_events(directory):
    """The events of a directory, as TensorBoard reads them."""
    read = EventAccumulator(str(directory), size_guidance={"tensors": 0})
    read.Reload()
    return read


def scalars(read, tag):
    return [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in read.Tensors(tag)]


def test_scalars_reach_tensorboard_and_metrics_jsonl(summaries, tmp_path):
    summaries.write_config(0)
    summaries.write_reals()
    summaries.write_scalars({"loss/generator": 1.5}, 16)
    summaries.write_scalars({"loss/generator": 2.5}, 32)
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
    assert "Loss of the generator" in metadata.summary_description
    assert metadata.summary_description.endswith("Steps: images.")
    config = tf.make_ndarray(read.Tensors("config")[0].tensor_proto).item()
    assert b"--fade_kimg=0.032" in config
    start = parse_session_start_info_plugin_data(
        read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    )
    assert start.hparams["fmap_max"].number_value == 8
    assert start.hparams["data"].string_value == "labelled"


def test_scalars_that_are_not_finite_are_null_in_metrics_jsonl(summaries, tmp_path):
    summaries.write_scalars({"loss/generator": float("nan"), "speed": 1.0}, 16)
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
        summaries.write_scalars({"loss/generator": 1.0}, 100)


def summaries_of_whole_kimg(labelled_dir, run_dir, **options):
    """Summaries of a run that reports every kimg unless `options` say otherwise."""
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


def test_steps_of_a_long_run_are_those_of_a_trial(labelled_dir, tmp_path):
    run, summaries = summaries_of_whole_kimg(labelled_dir, tmp_path / "run")
    summaries.write_scalars({"loss/generator": 1.5}, 1008)
    summaries.write_scalars({"loss/generator": 2.5}, 2000)
    summaries.write_fakes(lambda z, _: np.zeros([len(z), 8, 8, 1], np.uint8), 2000, batch_size=48)
    summaries.close()
    read = read_events(run.path)
    assert scalars(read, "loss/generator") == [(1008, 1.5), (2000, 2.5)]
    assert [event.step for event in read.Tensors("images/fakes")] == [2000]
    assert read.SummaryMetadata("loss/generator").summary_description.endswith("Steps: images.")


@pytest.mark.parametrize(("step", "next_step", "unit"), [(1, 2, "kimg"), (1008, 2000, "images")])
def test_a_run_of_an_earlier_version_keeps_counting_as_it_began(
    labelled_dir, tmp_path, step, next_step, unit
):
    run, summaries = summaries_of_whole_kimg(labelled_dir, tmp_path / "run")
    run.metrics_log.append(1008, step, {"loss/generator": 1.0})
    summaries.forget_after(1008)
    summaries.write_scalars({"loss/generator": 2.0}, 2000)
    summaries.close()
    lines = [json.loads(line) for line in run.metrics_log.path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [step, next_step]
    description = read_events(run.path).SummaryMetadata("loss/generator").summary_description
    assert description.endswith(f"Steps: {unit}.")


def test_tensorboard_forgets_what_lies_past_the_checkpoint_continued_from(labelled_dir, tmp_path):
    def process(continued_from, *ticks):
        # Event files are read in the order of their names, which begin with the second.
        time.sleep(1.01 - time.time() % 1)
        run, summaries = summaries_of_whole_kimg(labelled_dir, tmp_path / "run")
        summaries.forget_after(continued_from)
        for images_seen, loss in ticks:
            summaries.write_scalars({"loss/generator": loss}, images_seen)
        # Not closed, as by a SIGKILL.
        run.close()
        return scalars(read_events(run.path), "loss/generator")

    first = [(1000, 1.0), (2000, 2.0), (3000, 3.0), (4000, 4.0)]
    assert process(0, *first) == first
    assert process(2000, (3000, 30.0)) == [*first[:2], (3000, 30.0)]
    assert process(2000) == first[:2]


def test_histograms_reach_tensorboard(summaries, tmp_path):
    rows = np.array([[0.0, 1.0, 5.0], [1.0, 2.0, 7.0]])
    summaries.write_histograms([("weights_generator/conv/kernel", rows)], 16)
    summaries.close()
    read = read_events(tmp_path / "run")
    (event,) = read.Tensors("weights_generator/conv/kernel")
    np.testing.assert_array_equal(tf.make_ndarray(event.tensor_proto), rows)
    metadata = read.SummaryMetadata("weights_generator/conv/kernel")
    assert metadata.plugin_data.plugin_name == "histograms"


def test_labels_that_are_not_classes_are_no_rows_of_the_grid(tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, [24, 3]).astype(np.float32)
    data = write_pyramid(tmp_path / "attributes", resolution=8, channels=1, labels=labels)
    run = RunDirectory(tmp_path / "run")
    config = tiny_config(data, run.path, label_size=3, channels=1)
    run.open(config, open_pyramid(data))
    summaries = Summaries(run, config, open_pyramid(data))
    summaries.write_reals()
    assert Image.open(run.reals).size == (16 * 8, 10 * 8)
    rows = np.array(summaries.samples.label_rows)
    assert rows.shape == (160, 3)
    assert {tuple(row) for row in rows} == {tuple(row) for row in labels}


def test_scalars_past_a_checkpoint_and_broken_lines_are_dropped(summaries, tmp_path):
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text('{"images_seen": 8}\n{"images_seen": 16}\n{"images_seen": 24}\n{"images_s')
    summaries.forget_after(16)
    assert metrics.read_text() == '{"images_seen": 8}\n{"images_seen": 16}\n'


def test_hyperparameters_are_the_settings_that_change_the_training():
    values = hyperparameters(tiny_config("data/shapes", "runs/shapes", seed=3))
    assert values["data"] == "shapes"
    assert values["seed"] == 3
    assert values["total_kimg"] == 0.096
    assert values["latent_size"] == 8
    assert values["mirror_augment"] is False
    for name in ("run_dir", "data_dir", "tick_kimg", "profile", "channels"):
        assert name not in values
    assert all(isinstance(value, bool | int | float | str) for value in values.values())


def test_tables_by_resolution_are_text():
    schedule = ScheduleConfig(batch_size_by_resolution={8: 32, 4: 64})
    config = dataclasses.replace(TrainConfig(), schedule=schedule)
    assert hyperparameters(config)["batch_size_by_resolution"] == "4:64,8:32"
