"""Metrics as text for people: a table, in which the best generators are marked."""

import math
from collections.abc import Sequence

from pgan_tf.evaluation.by_class import is_of_one_class
from pgan_tf.evaluation.catalog import CATALOG, Metric, combined_spread
from pgan_tf.evaluation.results import FLOOR, SnapshotMetrics

_MARK = " *"


def table(results: Sequence[SnapshotMetrics]) -> str:
    """Return a text table: for one generator a row per value, for several a row per generator.

    Of several, those that are the best by a metric within the spread are marked, and a line says
    so; values of single classes, which may be many, are left out.
    """
    names = list(dict.fromkeys(name for result in results for name in result.values))
    floor = results[0].floor
    if len(results) == 1:
        rows = [["", results[0].label, *([FLOOR] if floor else [])]]
        for name in names:
            cells = [_with_spread(results[0], name)]
            cells += [format_value(floor.get(name))] if floor else []
            rows.append([name, *cells])
        return _aligned(rows)
    names = [name for name in names if not is_of_one_class(name)]
    marked = {metric.headline: _best(results, metric) for metric in CATALOG.values()}
    marked = {name: best for name, best in marked.items() if best}
    rows = [["", *(name + " " * len(_MARK) * (name in marked) for name in names)]]
    for number, result in enumerate(results):
        cells = [_with_spread(result, name) for name in names]
        for index, name in enumerate(names):
            if name in marked:
                cells[index] += _MARK if number in marked[name] else " " * len(_MARK)
        rows.append([result.label, *cells])
    if floor:
        rows.append(
            [
                FLOOR,
                *(format_value(floor.get(n)) + " " * len(_MARK) * (n in marked) for n in names),
            ]
        )
    return "\n".join([_aligned(rows), *([_legend(results, list(marked))] if marked else [])])


def _best(results: Sequence[SnapshotMetrics], metric: Metric) -> set[int]:
    """Return the numbers of the generators that are the best by a metric, within the spread."""
    name = metric.headline
    values = {i: r.values[name] for i, r in enumerate(results) if name in r.values}
    values = {i: value for i, value in values.items() if math.isfinite(value)}
    if not values:
        return set()
    best = (max if metric.higher_is_better else min)(values, key=lambda i: values[i])
    return {
        i
        for i, value in values.items()
        if not metric.better(
            values[best],
            than=value,
            by=combined_spread(results[best].spread.get(name), results[i].spread.get(name)),
        )
    }


def _legend(results: Sequence[SnapshotMetrics], names: Sequence[str]) -> str:
    """Return the line that explains the marks of values by name."""
    unknown = [r.label for r in results if any(r.spread.get(name) is None for name in names)]
    if len(unknown) == len(results):
        return f"{_MARK.strip()} the best, by spreads that are not known"
    where = f"; that of {', '.join(unknown)} is not known" if unknown else ""
    return (
        f"{_MARK.strip()} the best, and those that differ from it by no more than the spread of "
        f"both (the root of the sum of its squares){where}"
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _with_spread(result: SnapshotMetrics, name: str) -> str:
    return format_figure(result.values.get(name), result.spread.get(name))


def format_figure(value: float | None, spread: float | None) -> str:
    """Return a value and its spread, if that is known, as text: `12.31 ± 0.42`."""
    text = format_value(value)
    if value is None or spread is None or not math.isfinite(spread):
        return text
    return f"{text} ± {spread:.0f}" if spread >= 10 else f"{text} ± {spread:.2g}"


def format_value(value: float | None) -> str:
    """Return a value as text: two decimals from 10 up, else four significant digits."""
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"
