import json
import os

import numpy as np
import pytest
from PIL import Image

from pgan_tf.generating import timelapse
from pgan_tf.generating.timelapse import find_grids, generate_timelapse
from tfrecords_tools.errors import UserError


def write_run(directory, ticks, grids, size=(640, 320)):
    """A run directory with ticks of (images seen, resolution, seconds a kimg) and grids."""
    directory.mkdir()
    lines = [
        json.dumps(
            {
                "images_seen": seen,
                "progress/resolution": resolution,
                "speed/seconds_per_kimg": seconds,
            }
        )
        for seen, resolution, seconds in ticks
    ]
    (directory / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    for shade, name in enumerate(grids):
        Image.new("RGB", size, (40 * shade,) * 3).save(directory / f"fakes-{name}.png")
    return directory


TICKS = [(1008, 4, 10.0), (2000, 4, 10.0), (3008, 8, 100.0), (3900, 8, 100.0)]


def test_grids_know_their_kimg_resolution_and_time_of_training(tmp_path):
    run = write_run(tmp_path / "run", TICKS, ["000000", "000002", "000003"])
    grids = find_grids(run)
    assert [(g.kimg, g.size) for g in grids] == [(0.0, "4x4"), (2.0, "4x4"), (3.9, "8x8")]
    assert [g.seconds for g in grids] == pytest.approx([0.0, 20.0, 20.0 + 190.0])
    assert grids[2].caption == "3.9 kimg   8x8   3m 30s"


def test_sizes_of_rectangles_are_width_and_height(tmp_path):
    run = write_run(tmp_path / "run", TICKS, ["000000", "000003"])
    note = "# Trained on: 9 images, 4 channel(s), 0 labels, base 6x4\n"
    (run / "config.flags").write_text(f"--data_dir=x\n{note}")
    assert [g.size for g in find_grids(run)] == ["6x4", "12x8"]


def test_names_with_fractions_are_exact(tmp_path):
    run = write_run(tmp_path / "run", TICKS, ["000000", "000002", "000003.008"])
    assert [g.kimg for g in find_grids(run)] == [0.0, 2.0, 3.008]


def test_broken_and_missing_ticks_leave_what_is_known(tmp_path):
    run = write_run(tmp_path / "run", TICKS[:1], ["000000", "000001", "000500"])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"images_seen": 12')
    assert [g.caption for g in find_grids(run)] == [
        "0.0 kimg   4x4   0s",
        "1.0 kimg   4x4   10s",
        "500.0 kimg",
    ]
    (run / "metrics.jsonl").unlink()
    assert find_grids(run)[0].caption == "0.0 kimg"


def test_time_in_the_video_is_proportional_to_images_seen(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", TICKS, ["000000", "000001", "000003"])
    kept = []

    def keep(path, frames, *, fps):
        kept.extend(int(frame[0, 0, 0]) for frame in frames)

    monkeypatch.setattr(timelapse, "save_video", keep)
    assert generate_timelapse(run, tmp_path / "v.mp4", seconds=2.0, fps=20) == 3
    # From 0 to 3.9 kimg in 40 frames; grids at 0, 1.008 and 3.9; another second of the last.
    assert [kept.count(shade) for shade in (0, 40, 80)] == [11, 28, 1 + 20]
    assert kept == sorted(kept)


def test_the_caption_is_in_the_lower_left_corner(tmp_path):
    run = write_run(tmp_path / "run", TICKS, ["000002"])
    frame = timelapse._captioned(find_grids(run)[0])
    assert frame.shape == (320, 640, 3)
    changed = np.argwhere((frame != 0).any(axis=2))  # the grid is black, and so is its background
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0)
    assert 290 < top < bottom < 320
    assert 0 < left < right < 320
    assert frame.max() == 255


def test_a_video_of_grids_is_written(tmp_path):
    run = write_run(tmp_path / "run", TICKS, ["000000", "000001", "000003"])
    generate_timelapse(run, tmp_path / "v.gif", seconds=1.0, fps=10)
    with Image.open(tmp_path / "v.gif") as image:
        assert image.size == (640, 320)
        assert image.n_frames == 3  # repeated frames become longer ones


def test_a_run_without_grids_of_one_size_is_refused(tmp_path):
    with pytest.raises(UserError, match="needs a run directory"):
        find_grids(tmp_path / "none")
    run = write_run(tmp_path / "run", TICKS, [])
    with pytest.raises(UserError, match="no grids in it"):
        find_grids(run)
    Image.new("RGB", (640, 320)).save(run / "fakes-000001.png")
    Image.new("RGB", (640, 300)).save(run / "fakes-000003.png")
    with pytest.raises(UserError, match=r"fakes-000003.png: must be 640x320.* Received: 640x300"):
        generate_timelapse(run, tmp_path / "v.gif", seconds=1.0, fps=5)
    (run / "fakes-000003.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"fakes-000003.png: not a picture"):
        generate_timelapse(run, tmp_path / "v.gif", seconds=1.0, fps=5)
    assert not list(tmp_path.glob("*.gif"))


def test_a_grid_in_a_format_that_can_be_executed_is_refused(tmp_path):
    run = write_run(tmp_path / "run", TICKS, ["000000", "000002"])
    (run / "fakes-000002.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 640 320\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(UserError, match=r"fakes-000002\.png: not a picture that can be read"):
        generate_timelapse(run, tmp_path / "video.gif", seconds=1, fps=2)


@pytest.mark.parametrize("content", ["pipe", "large"])
def test_a_grid_that_would_never_end_is_refused(tmp_path, monkeypatch, content):
    run = write_run(tmp_path / "run", TICKS, ["000000", "000002"])
    if content == "pipe":
        (run / "fakes-000002.png").unlink()
        os.mkfifo(run / "fakes-000002.png")
    else:
        monkeypatch.setattr(timelapse, "_MAX_PIXELS", 1000)
    with pytest.raises(UserError, match=r"fakes-0+[02]\.png: "):
        generate_timelapse(run, tmp_path / "video.gif", seconds=1, fps=2)
