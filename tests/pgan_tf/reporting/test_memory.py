import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.reporting.memory import memory_figures


def test_memory_of_the_host_grows_with_what_is_held():
    before = memory_figures()
    held = np.ones(2**28, np.uint8)
    after = memory_figures()
    grown = after["memory/host_gib"] - before["memory/host_gib"]
    assert grown == pytest.approx(held.nbytes / 2**30, abs=0.05)
    assert after["memory/host_peak_gib"] >= after["memory/host_gib"] - 0.01
    del held
    assert memory_figures()["memory/host_gib"] < after["memory/host_gib"] - 0.2
    assert memory_figures()["memory/host_peak_gib"] >= after["memory/host_gib"] - 0.01


def test_each_gpu_has_its_own_figures(monkeypatch):
    # There is no GPU here: TensorFlow's two functions are stood in for.
    info = {"GPU:0": {"current": 2**30, "peak": 2**31}, "GPU:1": {"current": 0, "peak": 2**29}}
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: list(info))
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", info.__getitem__)
    figures = memory_figures()
    assert {tag: figures[tag] for tag in figures if "gpu" in tag} == {
        "memory/gpu0_gib": 1.0,
        "memory/gpu0_peak_gib": 2.0,
        "memory/gpu1_gib": 0.0,
        "memory/gpu1_peak_gib": 0.5,
    }
