"""Curves of metrics over training, as one PNG file."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from pgan_tf.evaluation.by_class import is_of_one_class
from pgan_tf.evaluation.results import SnapshotMetrics
from pgan_tf.metrics import DINOV2_DIGEST
from tfrecords_tools.extras import require
from tfrecords_tools.files import whole_file

_COLUMNS = 2
# Values not drawn: they follow from others, or are their standard deviations.
_LEFT_OUT = ("/gap", "/std")


def require_matplotlib() -> Any:
    """Import `matplotlib.figure`.

    Raises:
      UserError: matplotlib is not installed; says how to install it.
    """
    return require("matplotlib.figure", "plots")


def plot(path: Path, results: Sequence[SnapshotMetrics]) -> bool:
    """Draw a panel per metric with a curve per value, and the floor dashed; whole or not at all.

    Args:
      path: of the PNG file.
      results: of one run's generators; generators of unknown `images_seen` are left out.

    Returns:
      False if there is nothing to draw.

    Raises:
      UserError: matplotlib is not installed.
    """
    figure_module = require_matplotlib()
    timed = [result for result in results if result.images_seen is not None]
    if not timed:
        logging.warning("%s is not drawn: no network says when it was saved", path)
        return False
    panels: dict[str, list[str]] = {}
    for name in timed[0].values:
        if name.endswith(_LEFT_OUT) or is_of_one_class(name):
            continue
        panels.setdefault(name.split("/")[0], []).append(name)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    # Not by pyplot, which needs a screen or the choice of another backend.
    figure = figure_module.Figure(figsize=(5.5 * columns, 3.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    kimg = [(result.images_seen or 0) / 1000 for result in timed]
    for axis, (metric, names) in zip(axes, panels.items(), strict=False):
        _draw_panel(axis, metric, names, kimg, timed)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return True


def _draw_panel(
    axis: Any,
    metric: str,
    names: Sequence[str],
    kimg: Sequence[float],
    results: Sequence[SnapshotMetrics],
) -> None:
    values = []
    for name in names:
        curve = [result.values.get(name, math.nan) for result in results]
        spread = [result.spread.get(name, math.nan) for result in results]
        values += [value for value in curve if math.isfinite(value)]
        short = name.removeprefix(f"{metric}/")
        (line,) = axis.plot(kimg, curve, marker="o", markersize=3.5, linewidth=1.3, label=short)
        _draw_band(axis, kimg, curve, spread, line.get_color())
        floor = results[0].floor.get(name)
        if floor is not None:
            values.append(floor)
            axis.axhline(floor, color=line.get_color(), linestyle="--", linewidth=0.9)
    # Distances fall by orders of magnitude: a logarithmic axis shows the end of training too.
    if values and min(values) > 0 and max(values) > 20 * min(values):
        axis.set_yscale("log")
        # A spread as large as its value would reach down without end.
        axis.set_ylim(bottom=min(values) / 2)
    axis.set_title(_title(metric, results[0]))
    axis.set_xlabel("kimg (dashed: reals against reals)" if results[0].floor else "kimg")
    axis.grid(alpha=0.3)
    if len(names) > 1:
        axis.legend(fontsize=8)


def _title(metric: str, result: SnapshotMetrics) -> str:
    """Return a panel's title, which says what is no FID on Inception's features."""
    if metric == "swd":
        return "swd (x1e3)"
    digest = (result.settings.get("extractors") or {}).get(metric) or ""
    return f"{metric} of DINOv2" if digest.startswith(DINOV2_DIGEST) else metric


def _draw_band(
    axis: Any, kimg: Sequence[float], curve: Sequence[float], spread: Sequence[float], color: Any
) -> None:
    """Draw the spread around a curve, as far as it is known; a bar where a band has no width."""
    if not any(map(math.isfinite, spread)):
        return
    low, high = ([v + sign * s for v, s in zip(curve, spread, strict=True)] for sign in (-1, 1))
    axis.fill_between(kimg, low, high, color=color, alpha=0.2, linewidth=0)
    axis.errorbar(kimg, curve, yerr=spread, fmt="none", ecolor=color, elinewidth=0.8, capsize=2)
