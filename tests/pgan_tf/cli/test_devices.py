"""Commands on devices: exhausted memory, and TF32."""

import pytest
import tensorflow as tf

from pgan_tf.cli import export, generate
from pgan_tf.distribution import unused_gpu
from pgan_tf.exporting import export as exporting
from pgan_tf.generating.sampler import Sampler
from tests.helpers.generators import save_tiny_generator


@pytest.fixture
def network(tmp_path):
    save_tiny_generator(tmp_path / "g.keras", resolution=8)
    return f"--network={tmp_path / 'g.keras'}"


def exhaust(*args, **kwargs):
    raise tf.errors.NotFoundError(None, None, "No algorithm worked!")


def test_generating_names_the_flag_that_lowers_memory(network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Sampler, "draw", exhaust)
    assert generate.main([network, f"--output={tmp_path / 'out'}"]) == 2
    assert capsys.readouterr().err == (
        "pgan-generate: error: out of memory: give a smaller --batch_size. TensorFlow says: No "
        "algorithm worked!\n"
    )


def test_an_export_that_runs_out_of_memory_leaves_nothing(network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exporting, "_largest_difference", exhaust)
    arguments = [network, "--format=keras", f"--output={tmp_path / 'out.keras'}"]
    assert export.main(arguments) == 2
    error = capsys.readouterr().err
    assert "out of memory: hide the GPU, with CUDA_VISIBLE_DEVICES=-1" in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["g.keras"]


def test_exports_are_compared_without_tf32(network, tmp_path, monkeypatch):
    seen = []
    is_on = tf.config.experimental.tensor_float_32_execution_enabled

    def compare(*args):
        seen.append(is_on())
        return 0.0

    monkeypatch.setattr(exporting, "_largest_difference", compare)
    assert export.main([network, "--format=keras", f"--output={tmp_path / 'out.keras'}"]) == 0
    assert seen == [False] and is_on()


def test_generating_sets_tf32_and_tells_of_a_gpu_that_is_not_used(network, tmp_path, monkeypatch):
    settings, asked = [], []
    enable = "enable_tensor_float_32_execution"
    monkeypatch.setattr(tf.config.experimental, enable, settings.append)
    monkeypatch.setattr(unused_gpu, "warn_of_unused_gpu", lambda: asked.append(True))
    arguments = [network, f"--output={tmp_path / 'out'}", "--num_images=1", "--nogrid"]
    assert generate.main([*arguments, "--tf32=off"]) == 0
    assert settings == [False] and asked == [True]
