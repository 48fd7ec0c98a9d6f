"""The evaluation of saved generators and of sets of images, as by pgan-evaluate."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.evaluation import curves
from pgan_tf.evaluation.catalog import NEIGHBORS, Compared, Metric, find_metrics
from pgan_tf.evaluation.evaluator import Evaluator
from pgan_tf.evaluation.extraction import load_extractors
from pgan_tf.evaluation.feature_cache import CACHE_NAME, FeatureCache
from pgan_tf.evaluation.file_images import FileImages
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import EvaluatedImages, FakeImages, Reals
from pgan_tf.evaluation.neighbor_sheet import sheet_path, write_sheet
from pgan_tf.evaluation.neighbors import (
    USUAL_NUM_IMAGES,
    NeighborFinder,
    NeighborReport,
    held_out_records,
)
from pgan_tf.evaluation.opening import Selection, open_sides, refuse_among_images
from pgan_tf.evaluation.options import EvaluateOptions
from pgan_tf.evaluation.results import (
    SnapshotMetrics,
    StoredMetrics,
    read_stored,
    require_writable,
    result_path,
    values_of,
    write_tensorboard,
)
from pgan_tf.evaluation.stored_selection import describe_set
from pgan_tf.evaluation.tables import format_figure
from pgan_tf.runs.run_directory import RunDirectory
from tfrecords_tools.printable import say
from tfrecords_tools.shape import has_alpha


@dataclasses.dataclass(frozen=True)
class EvaluationReport:
    """The outcome of an evaluation.

    Attributes:
      results: the metrics of each generator, oldest first.
      written: the files that hold them.
      summary: one line on the images that were compared.
    """

    results: tuple[SnapshotMetrics, ...]
    written: tuple[Path, ...]
    summary: str


def evaluate(options: EvaluateOptions) -> EvaluationReport:
    """Evaluate generators and write their metrics.

    Each generator's JSON file is written as soon as its metrics are known; the curves and
    TensorBoard's scalars at the end.

    Raises:
      UserError: something does not exist or does not fit, or a generator's images are not finite.
    """
    metrics = find_metrics(options.metrics)
    strategy = make_strategy(options.distribution, logical_cpus=options.logical_cpus)
    selection, reals = open_sides(options)
    labels = selection.label_source(reals)
    if options.all_snapshots:
        curves.require_matplotlib()  # before hours of work, not after
    if selection.run is not None:
        RunDirectory(selection.run).refuse_links()
    evaluator = _make_evaluator(options, selection, metrics, reals)
    finder = _make_finder(options, selection, metrics, reals)
    output = Path(options.output) if options.output else selection.home
    refuse_among_images(output, [s.file for s in selection.snapshots] + [reals.images.path])
    settings = _settings(evaluator, finder, reals) | selection.settings
    settings["bootstrap"] = dict.fromkeys(settings["num_images"], options.bootstrap)
    if labels is not reals:
        settings["labels_from"] = str(labels.images.path.absolute())
    if options.ema_length is not None:
        settings["ema_length"] = options.ema_length
    stored = _read_all_stored(selection, output, settings) if options.reuse else {}

    def load(snapshot: EvaluatedImages) -> FakeImages:
        return snapshot.load(
            reals,
            labels,
            strategy=strategy,
            batch_size=options.batch_size,
            count=max(evaluator.most_images, finder.num_images if finder else 0),
        )

    # Find what may be wrong now, not after hours of work.
    require_writable(output)
    to_evaluate = [s for s in selection.snapshots if _missing(metrics, stored.get(s.file, {}))]
    for snapshot in to_evaluate:
        snapshot.check(reals, labels)
    loaded = {snapshot.file: load(snapshot) for snapshot in to_evaluate[:1]}
    for first in loaded.values():
        evaluator.require_labels(first)
    floor = _floor(evaluator, stored) if options.floor else {}
    results, written = [], []
    for snapshot in selection.snapshots:
        known = stored.get(snapshot.file, {})
        found = Compared({}, {})
        for metric in known.values():
            _add(found, metric)
        missing = _missing(metrics, known)
        if missing:
            fakes = loaded.pop(snapshot.file, None) or load(snapshot)
            ordinary = [metric for metric in missing if metric.name != NEIGHBORS]
            if ordinary:
                _add(found, evaluator.evaluate(fakes, label=snapshot.label, only=ordinary))
            if finder is not None and len(ordinary) < len(missing):
                _add(found, _find_neighbors(finder, fakes, output, snapshot))
        of_spread = {name: metric.bootstrap for name, metric in known.items()}
        result = _result(
            snapshot,
            Compared(*(_in_order(metrics, values) for values in found)),
            {**settings, "bootstrap": settings["bootstrap"] | of_spread},
            floor,
        )
        results.append(result)
        written.append(result.write_json(output))
        if finder is not None:
            written.append(sheet_path(output, snapshot.label))
        if len(selection.snapshots) > 1:
            say(_headlines(result, metrics, reused=not missing))
    if options.all_snapshots and curves.plot(output / "metrics.png", results):
        written.append(output / "metrics.png")
    # Its curves are of the generators as they were saved, against data as runs are trained on.
    of_run = selection.run is not None and options.ema_length is None
    if selection.run is not None and of_run and isinstance(reals.images, PyramidImages):
        write_tensorboard(selection.run, results)
    summary = _summary(settings["num_images"], reals, evaluator.features_of)
    return EvaluationReport(tuple(results), tuple(written), summary)


def _make_evaluator(
    options: EvaluateOptions,
    selection: Selection,
    metrics: Sequence[Metric],
    reals: Reals,
) -> Evaluator:
    return Evaluator(
        [metric for metric in metrics if metric.name != NEIGHBORS],
        reals,
        num_images=options.num_images,
        most_fakes=selection.count,
        cache=_cache(options, selection),
        extractors=load_extractors(metrics, options.extractors),
        replicates=options.bootstrap,
    )


def _make_finder(
    options: EvaluateOptions,
    selection: Selection,
    metrics: Sequence[Metric],
    reals: Reals,
) -> NeighborFinder | None:
    """Return what finds the training images nearest to fakes; None if that is not asked for."""
    if all(metric.name != NEIGHBORS for metric in metrics):
        return None
    own = options.extractors.own_features
    return NeighborFinder(
        reals,
        held_out_records(selection.run, selection.config, reals.images),
        num_images=_neighbors_count(options, selection),
        cache=_cache(options, selection),
        extractor=options.extractors.load_features() if own else None,
        replicates=options.bootstrap,
    )


def _neighbors_count(options: EvaluateOptions, selection: Selection) -> int:
    """Return the number of fakes whose neighbors are found."""
    most = selection.count
    return options.num_images or min(USUAL_NUM_IMAGES, most or USUAL_NUM_IMAGES)


def _find_neighbors(
    finder: NeighborFinder, fakes: FakeImages, output: Path, snapshot: EvaluatedImages
) -> NeighborReport:
    """Return the neighbors of a generator's images, and write its sheet."""
    report = finder.evaluate(fakes, label=snapshot.label)
    path = sheet_path(output, snapshot.label)
    write_sheet(path, finder, report, fakes, title=snapshot.label)
    return report


def _add(found: Compared, more: Compared | StoredMetrics | NeighborReport) -> None:
    found.values.update(more.values)
    found.spread.update(more.spread)


def _cache(options: EvaluateOptions, selection: Selection) -> FeatureCache:
    directory = Path(options.cache_dir) if options.cache_dir else selection.home / CACHE_NAME
    return FeatureCache(directory, keep=options.cache)


def _read_all_stored(
    selection: Selection, output: Path, settings: Mapping[str, Any]
) -> dict[Path, dict[str, StoredMetrics]]:
    """Read the metrics written under equal settings, by the generator's file and the metric."""
    stored = {}
    for snapshot in selection.snapshots:
        path = result_path(output, snapshot.label)
        if path.exists():
            digest = snapshot.digest
            found = read_stored(path, digest=digest, settings=settings)
            if not sheet_path(output, snapshot.label).exists():
                found.pop(NEIGHBORS, None)
            stored[snapshot.file] = found
    return stored


def _missing(metrics: Sequence[Metric], known: Mapping[str, StoredMetrics]) -> list[Metric]:
    return [metric for metric in metrics if metric.name not in known]


def _floor(
    evaluator: Evaluator, stored: Mapping[Path, Mapping[str, StoredMetrics]]
) -> Mapping[str, float]:
    """Return the floor of every metric, from stored metrics or else computed now."""
    values: dict[str, float] = {}
    for by_metric in stored.values():
        for metric in by_metric.values():
            values.update(metric.floor)
    missing = [m for m in evaluator.metrics if not values_of(m.name, values)]
    return _in_order(evaluator.metrics, {**values, **evaluator.floor(only=missing)})


def _in_order(metrics: Sequence[Metric], values: Mapping[str, float]) -> dict[str, float]:
    """Return values in the order of the requested metrics."""
    return {
        name: value for metric in metrics for name, value in values_of(metric.name, values).items()
    }


def _result(
    snapshot: EvaluatedImages,
    found: Compared,
    settings: Mapping[str, Any],
    floor: Mapping[str, float],
) -> SnapshotMetrics:
    return SnapshotMetrics(
        network=snapshot.file,
        digest=snapshot.digest,
        label=snapshot.label,
        images_seen=snapshot.images_seen,
        values=found.values,
        settings=settings,
        floor=floor,
        spread=found.spread,
    )


def _headlines(result: SnapshotMetrics, metrics: Sequence[Metric], *, reused: bool) -> str:
    values = "  ".join(
        f"{name} {format_figure(result.values[name], result.spread.get(name))}"
        for name in (metric.headline for metric in metrics)
    )
    return f"{result.label}  {values}{'  (as found before)' if reused else ''}"


def _settings(evaluator: Evaluator, finder: NeighborFinder | None, reals: Reals) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "data": str(reals.images.path.absolute()),
        "data_digest": evaluator.data_digest,
        "resolution": reals.images.resolution,
        **reals.traits,
        **({"reals": describe_set(reals.images)} if isinstance(reals.images, FileImages) else {}),
        "mirror_augment": reals.mirror,
        "seed": reals.seed,
        "num_images": evaluator.num_images,
        "real_num_images": evaluator.real_images,
        "extractors": evaluator.extractor_digests,
        "floor_num_images": evaluator.floor_images,
        "methods": evaluator.methods,
    }
    if finder is None:
        return settings
    of_neighbors = {
        "num_images": finder.num_images,
        "real_num_images": len(finder.split.trained),
        "extractors": finder.depends_on,
        "floor_num_images": len(finder.split.others),
    }
    return settings | {
        key: {**settings[key], NEIGHBORS: value} for key, value in of_neighbors.items()
    }


def _summary(num_images: Mapping[str, int], reals: Reals, features_of: str | None) -> str:
    by_count: dict[int, list[str]] = {}
    for name, count in num_images.items():
        by_count.setdefault(count, []).append(name)
    counts = ", ".join(
        f"{count} images{_fewer_reals(count, names, reals)} for {' '.join(names)}"
        for count, names in by_count.items()
    )
    mirrored = ", mirrored at random" if reals.mirror else ""
    on_white = "; images with alpha are put on white" if has_alpha(reals.images.channels) else ""
    bits = reals.images.bits
    reduced = "" if bits == 8 else f"; values of {bits} bits are reduced to 8"
    grays = "; grayscale images count as RGB" if "gray" in reals.traits else ""
    features = f"; features of {features_of}" if features_of else ""
    return (
        f"{counts}, at {reals.images.size_text}, against {reals.images.path}"
        f"{mirrored}; seed {reals.seed}{features}{on_white}{reduced}{grays}"
    )


def _fewer_reals(count: int, names: Sequence[str], reals: Reals) -> str:
    available = reals.count
    if available >= count or names == [NEIGHBORS]:
        return ""
    return f" (against {available} reals)"
