"""Figures of both networks of a training state."""

import dataclasses
import gc
import weakref

import numpy as np
import pytest

from pgan_tf.config import DataConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.data.held_out import held_out_indices
from pgan_tf.diagnosis import measurements
from pgan_tf.diagnosis.measurements import Measurements
from pgan_tf.step.train_state import TrainState
from tests.helpers.drawn import write_drawn
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.format import open_pyramid


def prepare(pyramid_dir, strategy, **data):
    """Return measurements of a new state, the state, and the last phase of its run."""
    pyramid = open_pyramid(pyramid_dir)
    label_size = 0 if pyramid.labels is None else pyramid.labels.shape[1]
    config = tiny_config(pyramid_dir)
    network = dataclasses.replace(config.network, resolution=pyramid.resolution)
    config = dataclasses.replace(config, network=network).for_data(
        resolution=pyramid.resolution,
        channels=pyramid.channels,
        label_size=label_size,
        base=pyramid.base,
        bits=pyramid.bits,
    )
    config = dataclasses.replace(config, data=DataConfig(data_dir=str(pyramid_dir), **data))
    state = TrainState(config, strategy)
    phase = Schedule(config.schedule, pyramid.resolution, pyramid.base).phases[-1]
    found = Measurements(config, pyramid, state, replicas=strategy.num_replicas_in_sync)
    return found, state, phase


def test_nothing_of_the_state_changes_and_the_figures_repeat(pyramid_dir, one_device):
    taken, state, phase = prepare(pyramid_dir, one_device)
    before = {name: variable.numpy() for name, variable in state.variables().items()}
    figures = taken.take(phase, 96)
    assert figures == taken.take(phase, 96)
    assert figures != taken.take(phase, 104)
    for name, variable in state.variables().items():
        np.testing.assert_array_equal(variable.numpy(), before[name], err_msg=name)


@pytest.mark.parametrize("devices", ["one_device", "two_replicas"])
def test_figures_of_a_new_state(pyramid_dir, devices, request):
    taken, _, phase = prepare(pyramid_dir, request.getfixturevalue(devices), validation_images=4)
    figures = taken.take(phase, 96)
    assert figures.keys() == {
        *(measurements.SEPARATION, measurements.MEMORIZATION),
        *(measurements.VARIETY, measurements.NEAREST),
        *(measurements.DISTANCE, measurements.AVERAGE_DISTANCE),
    }
    assert all(np.isfinite(value) for value in figures.values())
    assert 0 <= figures[measurements.SEPARATION] <= 1
    assert figures[measurements.AVERAGE_DISTANCE] == figures[measurements.DISTANCE]


@pytest.mark.parametrize(("channels", "bits"), [("rgba", 8), ("gray_alpha", 8), ("gray", 16)])
def test_figures_of_rectangles_of_any_channels(tmp_path, one_device, monkeypatch, channels, bits):
    monkeypatch.setattr(measurements, "_SUSPICIOUS_VARIETY", np.inf)
    data = write_drawn(tmp_path / "data", channels=channels, bits=bits)
    taken, _, phase = prepare(data.directory, one_device)
    figures = taken.take(dataclasses.replace(phase, resolution=16), 96)
    assert 0 < figures[measurements.REAL_SIMILARITY] < 1
    assert 0 < figures[measurements.SIMILARITY] <= 1
    assert all(np.isfinite(value) for value in figures.values())


def test_fakes_that_are_all_alike_have_no_variety(pyramid_dir, one_device):
    taken, state, phase = prepare(pyramid_dir, one_device)
    assert taken.take(phase, 96)[measurements.VARIETY] > 0.1
    for path, variable in state.generator.variables.items():
        if "kernel" in path and "rgb" in path:
            variable.assign(0 * variable.numpy())
    figures = taken.take(phase, 96)
    assert figures[measurements.VARIETY] == figures[measurements.NEAREST] == 0
    assert figures[measurements.DISTANCE] != figures[measurements.AVERAGE_DISTANCE]


def test_classes_are_compared_within(labelled_dir, one_device):
    taken, state, phase = prepare(labelled_dir, one_device)
    assert 0.1 < taken.take(phase, 96)[measurements.CLASS_VARIETY] < 10
    (kernel,) = (v for p, v in state.generator.variables.items() if p == "4x4_dense/kernel")
    rows = np.arange(kernel.shape[0]) >= kernel.shape[0] - 3  # after latents, three labels
    kernel.assign(kernel.numpy() * rows[:, np.newaxis])
    figures = taken.take(phase, 96)
    assert figures[measurements.CLASS_VARIETY] < 0.01 < figures[measurements.VARIETY]


@pytest.mark.parametrize("count", [1, 10, 20])
def test_a_perfect_generator_of_few_images_varies_as_they_do(tmp_path, rng, count):
    directory = write_pyramid(tmp_path / "few", resolution=8, channels=3, count=count)
    config = tiny_config(directory)
    taken = Measurements(config, open_pyramid(directory), None, replicas=1)
    phase = Schedule(config.schedule, 8).phases[-1]
    found = []
    for images_seen in range(96, 196, 10):
        drawn = taken._read(8, tuple(rng.integers(0, count, 32).tolist()))
        found.append(taken._variety(taken._reals(phase, images_seen, 32), drawn, None))
    for name in (measurements.VARIETY, measurements.NEAREST):
        assert np.mean([figures[name] for figures in found]) > 0.6, name


@pytest.mark.parametrize(("fakes", "expected"), [(0.999, 1.0), (1.5, 0.0), (-1.0, 0.05)])
def test_memorization_is_kept_in_bounds_where_the_gap_is_small(
    pyramid_dir, one_device, monkeypatch, fakes, expected
):
    taken, _, phase = prepare(pyramid_dir, one_device, validation_images=4)
    scores = [np.full(32, value) for value in (1.0, fakes, 0.9)]
    monkeypatch.setattr(taken, "_scores", lambda *_: scores)
    figures = taken._separation(phase, 8, *[np.zeros([32, 8, 8, 3])] * 3)
    assert figures[measurements.MEMORIZATION] == pytest.approx(expected)


def test_images_of_a_local_pyramid_are_not_kept(pyramid_dir, one_device):
    taken, _, phase = prepare(pyramid_dir, one_device)
    kept = weakref.ref(taken._reals(phase, 96, 32).images)
    gc.collect()
    assert kept() is None


def test_similarity_is_only_measured_of_fakes_that_vary_little(tmp_path, one_device):
    directory = write_pyramid(tmp_path / "tiny", resolution=16, channels=1)
    pyramid = open_pyramid(directory)
    config = tiny_config(directory)
    network = dataclasses.replace(config.network, resolution=16)
    config = dataclasses.replace(config, network=network)
    config = config.for_data(resolution=16, channels=1, label_size=0)
    state = TrainState(config, one_device)
    phase = Schedule(dataclasses.replace(config.schedule, total_kimg=1.0), 16).phases[-1]
    taken = Measurements(config, pyramid, state, replicas=1)
    assert measurements.SIMILARITY not in taken.take(phase, 96)
    for path, variable in state.generator.variables.items():
        if "kernel" in path and "rgb" in path:
            variable.assign(0 * variable.numpy())
    figures = taken.take(phase, 96)
    assert figures[measurements.SIMILARITY] == pytest.approx(1)
    assert figures[measurements.REAL_SIMILARITY] < 0.9


def test_held_out_images_are_told_from_those_that_are_trained_on(pyramid_dir, one_device):
    taken, _, phase = prepare(pyramid_dir, one_device, validation_images=5)
    held_out = set(held_out_indices(24, 5).tolist())
    trained = set()
    for images_seen in (96, 200, 304):
        trained |= set(taken._reals(phase, images_seen, 32).records.tolist())
    assert not trained & held_out
    assert len(trained) == 19
    images = taken._held_out(phase, 96, 32)
    expected = open_pyramid(pyramid_dir).level(8).read(held_out_indices(24, 5))
    assert {i.tobytes() for i in np.rint((images + 1) * 127.5).astype(np.uint8)} == {
        image.transpose(1, 2, 0).tobytes() for image in expected
    }
