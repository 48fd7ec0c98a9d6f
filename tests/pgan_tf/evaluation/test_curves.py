import dataclasses
import sys

import numpy as np
import pytest
from PIL import Image

from pgan_tf.evaluation import curves
from tests.helpers.results import EARLIER, RESULT
from tfrecords_tools.errors import UserError


def test_curves_are_drawn_in_one_panel_per_metric(tmp_path):
    curves.plot(tmp_path / "two.png", [EARLIER, RESULT])
    one = [
        dataclasses.replace(result, values={"ms_ssim": result.images_seen / 1e6})
        for result in (EARLIER, RESULT)
    ]
    curves.plot(tmp_path / "one.png", one)
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "one.png") as one:
        assert two.width == 2 * one.width and two.height == one.height
        # Something is drawn, in colours.
        assert np.ptp(np.asarray(one.convert("RGB")).astype(int), axis=2).max() > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_the_spread_is_a_band_around_the_curve(tmp_path):
    colored = []
    for spread in ({}, {"ms_ssim": 0.02}):
        results = [
            dataclasses.replace(r, values={"ms_ssim": 0.25}, floor={}, spread=spread)
            for r in (EARLIER, RESULT)
        ]
        curves.plot(tmp_path / "spread.png", results)
        with Image.open(tmp_path / "spread.png") as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        colored.append(np.mean(np.ptp(pixels, axis=2) > 20))
    assert colored[1] > 5 * colored[0]


def test_a_spread_beyond_zero_does_not_stretch_a_logarithmic_axis(monkeypatch, tmp_path):
    limits = []
    figure = curves.require_matplotlib().Figure
    monkeypatch.setattr(
        figure, "savefig", lambda self, *_, **__: limits.append(self.axes[0].get_ylim())
    )
    values = ((EARLIER, 100.0, 1.0), (RESULT, 0.5, 0.9))
    results = [
        dataclasses.replace(
            result,
            values={"fid": value},
            floor={},
            spread={"fid": spread},
            settings={"extractors": {"fid": "DINOv2 abc"}},
        )
        for result, value, spread in values
    ]
    curves.plot(tmp_path / "log.png", results)
    assert limits[0][0] == 0.25 and limits[0][1] > 100
    assert curves._title("fid", results[0]) == "fid of DINOv2"
    assert curves._title("fid", RESULT) == "fid" and curves._title("swd", RESULT) == "swd (x1e3)"


def test_networks_of_unknown_images_seen_are_not_drawn(tmp_path, caplog):
    untimed = dataclasses.replace(RESULT, images_seen=None)
    assert not curves.plot(tmp_path / "none.png", [untimed])
    assert "no network says when it was saved" in caplog.text
    assert curves.plot(tmp_path / "some.png", [untimed, RESULT])
    assert [path.name for path in tmp_path.iterdir()] == ["some.png"]


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'pgan_tf\[plots\]'"):
        curves.require_matplotlib()
