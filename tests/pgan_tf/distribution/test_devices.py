"""Settings of GPUs, with stand-ins for TensorFlow's lists of devices."""

import pytest
import tensorflow as tf

from pgan_tf.distribution import devices
from pgan_tf.distribution.devices import full_float32, let_gpu_memory_grow, set_tf32
from pgan_tf.runs.saved_generator import load_generator
from tests.helpers.generators import save_tiny_generator


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs, of which the first is hidden from TensorFlow; the memory growth that is set."""
    grown = {}
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [f"{kind}:1"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grown.__setitem__)
    return grown


def test_memory_grows_on_the_gpus_that_tensorflow_may_use(gpus):
    assert let_gpu_memory_grow() == 1
    assert gpus == {"GPU:1": True}


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Physical devices cannot be modified after being initialized"),
        ValueError("Cannot set memory growth on device when virtual devices configured"),
    ],
)
def test_devices_that_have_started_or_were_divided_stay_as_they_are(gpus, monkeypatch, error):
    def refuse(gpu, on):
        raise error

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    assert let_gpu_memory_grow() == 1


def test_loading_a_generator_lets_memory_grow(gpus, tmp_path):
    save_tiny_generator(tmp_path / "g.keras", resolution=8)
    load_generator(tmp_path / "g.keras")
    assert gpus == {"GPU:1": True}


def test_there_may_be_no_gpu(monkeypatch):
    monkeypatch.setattr(devices.tf.config, "get_visible_devices", lambda kind: [])
    assert let_gpu_memory_grow() == 0


def test_tf32_is_switched_and_left_out_for_a_while():
    is_on = tf.config.experimental.tensor_float_32_execution_enabled
    try:
        set_tf32("off")
        assert not is_on()
        set_tf32("on")
        assert is_on()
        with pytest.raises(ZeroDivisionError), full_float32():
            assert not is_on()
            raise ZeroDivisionError
        assert is_on()
    finally:
        set_tf32("on")


class Driver:
    """CUDA's driver with one GPU of 8 GB."""

    def __init__(self, error=0):
        self.error = error

    def cuInit(self, flags):  # noqa: N802
        return self.error

    def cuDeviceGet(self, device, ordinal):  # noqa: N802
        device._obj.value = 7 + ordinal
        return 0

    def cuDeviceTotalMem_v2(self, size, device):  # noqa: N802
        assert device.value == 7
        size._obj.value = 8 * 10**9
        return 0


def test_the_memory_of_a_gpu_is_its_drivers_less_what_this_process_uses(monkeypatch):
    used = {"current": 10**9, "peak": 2 * 10**9}
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", lambda device: used)
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: Driver())
    assert devices.free_gpu_memory() == 7 * 10**9


@pytest.mark.parametrize("driver", [Driver(error=100), object(), OSError("no such library")])
def test_the_memory_of_a_gpu_is_unknown_without_its_driver(monkeypatch, driver):
    def load(name):
        if isinstance(driver, OSError):
            raise driver
        return driver

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setattr(devices.ctypes, "CDLL", load)
    assert devices.free_gpu_memory() is None


def test_there_is_no_memory_of_a_gpu_without_one():
    assert devices.free_gpu_memory() is None
