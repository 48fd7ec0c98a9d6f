import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config.phases import Phase, Step
from pgan_tf.reporting.scalars import FinishedCall, Ticker, memory_scalars, progress_line
from tests.helpers.tiny import step_result

STEP = Step(Phase(0, 4, False, 0, 10**6, 0, 100, 0.001), 0, 1.0, 0.001)


def finished(metrics, at, *, steps=1, **times):
    """A call of steps of 100 images that was done at some time, one second after it was started."""
    times = {"data_wait": 0.0, "host_seconds": 0.5, "started": at - 1, **times}
    return FinishedCall([STEP] * steps, step_result(metrics), finished=at, **times)


def ticker_at(now):
    return Ticker(lambda: now)


def test_a_tick_reports_means_sums_and_speed():
    ticker = ticker_at(100.0)
    for at, loss, skipped in ((106, 1.0, 0.0), (110, 3.0, 1.0)):
        metrics = {"loss": loss, "updates/d_skipped": skipped}
        ticker.add(finished(metrics, at, data_wait=0.5))
    assert ticker.report() == pytest.approx(
        {
            "loss": 2.0,
            "updates/d_skipped": 1.0,
            "speed/images_per_second": 20.0,
            "speed/seconds_per_kimg": 50.0,
            "speed/data_wait_fraction": 0.1,
            "speed/host_seconds_per_step": 0.5,
        }
    )
    # The next one begins when the last step was done, not when it was reported.
    ticker.add(finished({"loss": 4.0}, 115, host_seconds=0.25))
    assert ticker.report() == pytest.approx(
        {
            "loss": 4.0,
            "speed/images_per_second": 20.0,
            "speed/seconds_per_kimg": 50.0,
            "speed/data_wait_fraction": 0.0,
            "speed/host_seconds_per_step": 0.25,
        }
    )
    assert ticker.is_empty


def test_a_scalar_that_only_some_steps_have_is_their_mean():
    ticker = ticker_at(0)
    for metrics in ({"d": 1.0}, {"d": 2.0, "g": 5.0}, {"d": 3.0}, {"d": 4.0, "g": 7.0}):
        ticker.add(finished(metrics, 1))
    scalars = ticker.report()
    assert (scalars["d"], scalars["g"]) == (2.5, 6.0)


def test_scalars_are_the_same_to_the_last_bit_however_steps_are_called(rng):
    values = rng.normal(size=60).astype(np.float32)
    found = []
    for steps_per_call in (1, 7, 60):
        ticker = ticker_at(0)
        for i in range(0, 60, steps_per_call):
            call = values[i : i + steps_per_call]
            ticker.add(finished({"d": call}, 1, steps=len(call)))
        found.append(ticker.report()["d"])
    assert found[0] == found[1] == found[2] == pytest.approx(values.mean(), rel=1e-5)


def test_making_a_graph_does_not_count_as_speed():
    ticker = ticker_at(0)
    making = {"started": 0, "host_seconds": 6, "makes_graph": True}
    ticker.add(finished({"d": 1.0}, 7, **making))
    ticker.add(finished({"d": 3.0}, 9, steps=2))
    scalars = ticker.report()
    assert scalars["speed/images_per_second"] == pytest.approx(100)
    assert scalars["speed/host_seconds_per_step"] == pytest.approx(0.25)


def test_a_tick_of_nothing_but_preparation_has_no_speed():
    ticker = ticker_at(0)
    ticker.add(finished({"d": 1.0}, 10, started=0, makes_graph=True))
    assert ticker.report() == {"d": 1.0}
    ticker.add(finished({"d": 1.0}, 12))
    assert ticker.report()["speed/images_per_second"] == pytest.approx(50)


def test_waiting_for_the_first_batch_is_no_part_of_the_speed_either():
    ticker = ticker_at(0)
    ticker.add(finished({"d": 1.0}, 10, started=0, data_wait=5.0, makes_graph=True))
    ticker.add(finished({"d": 1.0}, 12, data_wait=0.5))
    assert ticker.report()["speed/data_wait_fraction"] == pytest.approx(0.25)


def test_the_progress_line_of_a_first_step_has_no_speed_and_no_end():
    phase = Phase(3, 16, True, 2000, 4000, 2000, 16, 0.001)
    line = progress_line(phase, 0.25, 2500, {"loss/discriminator": -1.5}, None)
    assert " ".join(line.split()) == "16x16 fade alpha 0.250 kimg 2.5 D -1.500"


def test_the_progress_line_shows_how_far_training_is():
    phase = Phase(3, 16, True, 2000, 4000, 2000, 16, 0.001)
    scalars = {
        "speed/images_per_second": 12.34,
        "speed/seconds_per_kimg": 81.0,
        "loss/discriminator": -1.5,
        "loss/generator": 2.25,
        "updates/generator_skipped": 0.0,
        "updates/discriminator_skipped": 2.0,
    }
    line = progress_line(phase, 0.25, 2500, scalars, 100.0)
    assert " ".join(line.split()) == (
        "16x16 fade alpha 0.250 kimg 2.5 12.3 img/s 81.0 s/kimg ETA 1m 40s D -1.500 G 2.250 "
        "2 updates skipped"
    )


def test_memory_of_the_host_grows_with_what_is_held():
    before = memory_scalars()
    held = np.ones(2**28, np.uint8)
    after = memory_scalars()
    grown = after["memory/host_gib"] - before["memory/host_gib"]
    assert grown == pytest.approx(held.nbytes / 2**30, abs=0.05)
    assert after["memory/host_peak_gib"] >= after["memory/host_gib"] - 0.01
    del held
    assert memory_scalars()["memory/host_gib"] < after["memory/host_gib"] - 0.2
    assert memory_scalars()["memory/host_peak_gib"] >= after["memory/host_gib"] - 0.01


def test_each_gpu_has_its_own_scalars(monkeypatch):
    # There is no GPU here: TensorFlow's two functions are stood in for.
    info = {"GPU:0": {"current": 2**30, "peak": 2**31}, "GPU:1": {"current": 0, "peak": 2**29}}
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: list(info))
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", info.__getitem__)
    scalars = memory_scalars()
    assert {tag: scalars[tag] for tag in scalars if "gpu" in tag} == {
        "memory/gpu0_gib": 1.0,
        "memory/gpu0_peak_gib": 2.0,
        "memory/gpu1_gib": 0.0,
        "memory/gpu1_peak_gib": 0.5,
    }
