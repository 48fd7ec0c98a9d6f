"""Training on pyramids behind URLs."""

import numpy as np
import pytest

from pgan_tf.cli import train as command
from pgan_tf.training.loop import train
from tests.helpers.numbered import upload
from tests.helpers.tiny import tiny_config, write_pyramid

pytestmark = pytest.mark.slow

FLAGS = [
    "--fmap_base=32", "--fmap_max=8", "--stabilize_kimg=0.032", "--fade_kimg=0.032",
    "--batch_size=8", "--total_kimg=0.096", "--tick_kimg=0.016", "--ema_decay=0.9",
]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    labels = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    return write_pyramid(tmp_path / "data" / "tiny", resolution=8, channels=3, labels=labels)


def test_a_run_streams_from_a_file_system_of_tensorflow(tmp_path, data, capsys):
    url = upload(data, "ram://bucket/tiny")
    run_dir = tmp_path / "run"
    assert train(tiny_config(url, run_dir)).images_seen == 96
    said = capsys.readouterr().out
    assert "ram://bucket/tiny: 24 images, 3 channel(s), 3 labels" in said
    assert "streamed, through a shuffle buffer of 24 images at 4x4 to 24 images at 8x8" in said
    # The grid of reals is that of a run on the same pyramid on disk.
    arguments = [f"--data_dir={data}", f"--run_dir={tmp_path / 'local'}", *FLAGS]
    assert command.main([*arguments, "--total_kimg=0.008"]) == 0
    assert (run_dir / "reals.png").read_bytes() == (tmp_path / "local/reals.png").read_bytes()


def test_a_stream_is_continued(tmp_path, data, capsys):
    url, run_dir = f"file://{data}", tmp_path / "run"
    arguments = [f"--data_dir={url}", f"--run_dir={run_dir}", *FLAGS]
    assert command.main([*arguments, "--total_kimg=0.016"]) == 0
    assert f"--data_dir={url}" in (run_dir / "config.flags").read_text().splitlines()
    assert command.main([f"--run_dir={run_dir}", "--total_kimg=0.032"]) == 0
    assert "continuing at 0.0 of 0.032 kimg" in capsys.readouterr().out
    assert (run_dir / "networks" / "generator-000000.032.keras").exists()


def refuse(capsys, *arguments):
    assert command.main([*arguments, *FLAGS]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pgan-train: error: ")
    assert error.count("\n") == 1
    return error


def test_data_that_cannot_be_streamed_are_refused_before_any_writing(tmp_path, data, capsys):
    run = f"--run_dir={tmp_path / 'run'}"
    error = refuse(capsys, f"--data_dir=file://{data}", run, "--deterministic")
    assert "--deterministic needs a pyramid on a local disk" in error
    assert "no file system for s3://" in refuse(capsys, "--data_dir=s3://bucket/faces", run)
    assert "no such directory" in refuse(capsys, f"--data_dir=file://{data}/nothing", run)
    assert not (tmp_path / "run").exists()


def test_a_damaged_record_ends_the_run_with_its_files_name(tmp_path, data, capsys):
    path = data / "tiny-r03.tfrecords"
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)
    run_dir = tmp_path / "run"
    error = refuse(capsys, f"--data_dir=file://{data}", f"--run_dir={run_dir}")
    assert "tiny-r03.tfrecords: record 12 (of 0..23) is damaged" in error
