"""The command that is printed after preparing: one that the machine can finish."""

import shlex
from pathlib import Path

import pytest

from pgan_tf.cli import train
from pgan_tf.config.flags import config_from_flags
from tfrecords_tools.cli.first_run import first_run, has_nvidia_gpu
from tfrecords_tools.command.flagfile import expand_flagfiles

ROOT = Path(__file__).parents[3]


def suggested(resolution, count=5000, source="images", on_gpu=False, data="data/x"):
    lines = first_run(
        data, "runs/x", resolution=resolution, count=count, source=source, on_gpu=on_gpu
    )
    assert lines[0].startswith("Train on it: pgan-train ")
    return lines[0].removeprefix("Train on it: "), "\n".join(lines[1:])


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("count", [10, 1000, 5000, 60_000])
@pytest.mark.parametrize("resolution", [4, 16, 32, 64, 128, 256, 1024, 2048])
def test_the_command_is_understood_and_fits_the_data_and_the_device(
    monkeypatch, resolution, count, on_gpu
):
    monkeypatch.chdir(ROOT)
    command, remarks = suggested(resolution, count, on_gpu=on_gpu)
    values = train.COMMAND.new_flags()
    assert values(expand_flagfiles(shlex.split(command)))[1:] == []
    config = config_from_flags(values)
    reached = config.network.resolution
    assert reached <= resolution and f"to {reached}x{reached}" in remarks
    if on_gpu:
        assert reached == min(resolution, 1024) and config.schedule.total_kimg > 4500
        assert config.augment.adapts == (count < 5000)
        assert config.data.validation_images <= count / 10
    else:
        assert reached == min(resolution, 64) and config.schedule.total_kimg <= 150
        assert ("configs/own_images_" in remarks) == (resolution > 64)
    assert ("are few" in remarks) == (count <= 1000)


def test_digits_are_not_mirrored():
    assert "--nomirror_augment" in suggested(64, source="svhn")[0]
    assert "--nomirror_augment" in suggested(32, source="idx", on_gpu=True)[0]
    assert "mirror" not in suggested(64, source="images")[0]


def test_paths_are_quoted_for_the_shell():
    assert "'--data_dir=my photos/x'" in suggested(64, data="my photos/x")[0]


def test_a_gpu_is_known_by_its_device_file(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert not has_nvidia_gpu(tmp_path)
    (tmp_path / "dev" / "nvidia0").touch()
    assert has_nvidia_gpu(tmp_path)
