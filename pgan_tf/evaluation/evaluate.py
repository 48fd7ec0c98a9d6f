"""Evaluating saved generators: what pgan-evaluate does."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.evaluation import curves
from pgan_tf.evaluation.cache import CACHE_NAME, Workspace
from pgan_tf.evaluation.catalogue import Metric, find_metrics
from pgan_tf.evaluation.evaluator import Evaluator
from pgan_tf.evaluation.extractors import load_extractors
from pgan_tf.evaluation.images import Reals
from pgan_tf.evaluation.results import (
    Found,
    Result,
    figures_of,
    format_value,
    read_figures,
    require_writable,
    result_path,
    write_tensorboard,
)
from pgan_tf.evaluation.subjects import Subjects, check_subject, find_subjects, load_fakes
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid, open_pyramid, sha256_of


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """What pgan-evaluate is told.

    Attributes:
      network: a run directory or a `.keras` file.
      data_dir: the pyramid; empty for the run's own.
      metrics: their names.
      num_images: how many images to compare; None for each metric's usual number.
      seed: of latents, of the choice of reals, and of whatever a metric draws.
      all_snapshots: every generator the run has saved, instead of the newest.
      output: where results go; empty for the run directory.
      mirror_augment: whether reals are mirrored; None for as the run did.
      floor: whether reals are compared with other reals too.
      reuse: whether figures that were written before, under the same settings, are taken as they
        are.
      cache, cache_dir: whether and where measurements of reals are kept; beside the run if empty.
      batch_size: images a replica at a time; None for what fits the resolution.
      distribution, logical_cpus: as of pgan-train.
      inception, features: where features come from, as `metrics.load_inception` and
        `metrics.load_features` take it.
      digit_classifier: what reads digits, as `metrics.load_digit_classifier` takes it.
    """

    network: str
    data_dir: str = ""
    metrics: Sequence[str] = ("swd", "ms_ssim")
    num_images: int | None = None
    seed: int = 0
    all_snapshots: bool = False
    output: str = ""
    mirror_augment: bool | None = None
    floor: bool = True
    reuse: bool = True
    cache: bool = True
    cache_dir: str = ""
    batch_size: int | None = None
    distribution: str = "auto"
    logical_cpus: int = 0
    inception: str = ""
    features: str = ""
    digit_classifier: str = ""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
      results: one a generator, oldest first.
      written: the files that say so.
      summary: what was compared, in a line.
    """

    results: tuple[Result, ...]
    written: tuple[Path, ...]
    summary: str


def evaluate(options: EvaluateOptions) -> Evaluation:
    """Evaluates generators and writes what was found.

    Each generator's JSON is written as soon as it is done; the curves and TensorBoard's scalars
    at the end.

    Raises:
      UserError: something named does not exist, does not fit, or draws no pictures.
    """
    metrics = find_metrics(options.metrics)
    subjects = find_subjects(options.network, all_snapshots=options.all_snapshots)
    if options.all_snapshots:
        curves.require_matplotlib()  # better known before hours of work than after
    pyramid = open_pyramid(_data_dir(options, subjects))
    reals = Reals(
        pyramid,
        _resolution(subjects, pyramid),
        seed=options.seed,
        mirror=_mirror(options, subjects),
    )
    strategy = make_strategy(options.distribution, logical_cpus=options.logical_cpus)
    cache = Path(options.cache_dir) if options.cache_dir else subjects.home / CACHE_NAME
    evaluator = Evaluator(
        metrics,
        reals,
        num_images=options.num_images,
        workspace=Workspace(cache, keep=options.cache),
        extractors=load_extractors(
            metrics,
            inception=options.inception,
            features=options.features,
            digit_classifier=options.digit_classifier,
        ),
    )
    output = Path(options.output) if options.output else subjects.home
    settings = _settings(evaluator, reals)
    known = _known_figures(subjects, output, settings) if options.reuse else {}
    missing = {
        subject.file: [m for m in metrics if m.name not in known.get(subject.file, {})]
        for subject in subjects.generators
    }
    to_measure = [subject for subject in subjects.generators if missing[subject.file]]
    load = functools.partial(
        load_fakes,
        reals=reals,
        strategy=strategy,
        batch_size=options.batch_size,
        count=evaluator.most_images,
    )
    # All that can be wrong is better known now than after hours of work.
    require_writable(output)
    for subject in to_measure:
        check_subject(subject, reals)
    loaded = {subject.file: load(subject) for subject in to_measure[:1]}
    floor = _floor(evaluator, known) if options.floor else {}
    results, written = [], []
    for subject in subjects.generators:
        before, wanted = known.get(subject.file, {}), missing[subject.file]
        figures = {
            name: value for found in before.values() for name, value in found.figures.items()
        }
        if wanted:
            fakes = loaded.pop(subject.file, None) or load(subject)
            figures |= evaluator.evaluate(fakes, label=subject.label, only=wanted)
        result = Result(
            network=subject.file,
            digest=sha256_of(subject.file),
            label=subject.label,
            images_seen=subject.images_seen,
            figures=_in_order(metrics, figures),
            settings=settings,
            floor=floor,
        )
        results.append(result)
        written.append(result.write_json(output))
        if len(subjects.generators) > 1:
            print(_headlines(result, evaluator, known=not wanted), flush=True)
    if options.all_snapshots and curves.plot(output / "metrics.png", results):
        written.append(output / "metrics.png")
    if subjects.run is not None:
        write_tensorboard(subjects.run, results)
    return Evaluation(tuple(results), tuple(written), _summary(evaluator, reals))


def _known_figures(
    subjects: Subjects, output: Path, settings: Mapping[str, Any]
) -> dict[Path, dict[str, Found]]:
    """What was found before, under equal settings, by the generator's file and the metric."""
    known = {}
    for subject in subjects.generators:
        path = result_path(output, subject.label)
        if path.exists():
            digest = sha256_of(subject.file)
            known[subject.file] = read_figures(path, digest=digest, settings=settings)
    return known


def _floor(evaluator: Evaluator, known: Mapping[Path, Mapping[str, Found]]) -> Mapping[str, float]:
    """The floor of every metric, as it was found before or else measured now."""
    figures: dict[str, float] = {}
    for before in known.values():
        for found in before.values():
            figures.update(found.floor)
    missing = [m for m in evaluator.metrics if not figures_of(m.name, figures)]
    return _in_order(evaluator.metrics, {**figures, **evaluator.floor(only=missing)})


def _in_order(metrics: Sequence[Metric], figures: Mapping[str, float]) -> dict[str, float]:
    """Figures in the order in which metrics were asked for."""
    return {
        name: value
        for metric in metrics
        for name, value in figures_of(metric.name, figures).items()
    }


def _headlines(result: Result, evaluator: Evaluator, *, known: bool) -> str:
    figures = "  ".join(
        f"{metric.headline} {format_value(result.figures[metric.headline])}"
        for metric in evaluator.metrics
    )
    return f"{result.label}  {figures}{'  (as found before)' if known else ''}"


def _data_dir(options: EvaluateOptions, subjects: Subjects) -> str:
    if options.data_dir:
        return options.data_dir
    if subjects.config is not None and subjects.config.data.data_dir:
        return subjects.config.data.data_dir
    raise UserError(f"--data_dir is required: {subjects.path} does not say what it was trained on")


def _mirror(options: EvaluateOptions, subjects: Subjects) -> bool:
    if options.mirror_augment is not None:
        return options.mirror_augment
    return subjects.config is not None and subjects.config.data.mirror_augment


def _resolution(subjects: Subjects, pyramid: Pyramid) -> int:
    """What images are compared at: what the generators grow to, of which the data has a level.

    Raises:
      UserError: it has none.
    """
    wanted = subjects.final_resolution or pyramid.resolution
    if wanted > pyramid.resolution:
        raise UserError(
            f"{subjects.path} grows to {wanted}x{wanted}, but {pyramid.directory} has "
            f"{pyramid.resolution}x{pyramid.resolution} at most"
        )
    return wanted


def _settings(evaluator: Evaluator, reals: Reals) -> Mapping[str, Any]:
    return {
        "data": str(reals.pyramid.directory.absolute()),
        "data_digest": evaluator.data_digest,
        "resolution": reals.resolution,
        "mirror_augment": reals.mirror,
        "seed": reals.seed,
        "num_images": evaluator.num_images,
        "real_num_images": evaluator.real_images,
        "extractors": evaluator.extractor_digests,
        "floor_num_images": evaluator.floor_images,
    }


def _summary(evaluator: Evaluator, reals: Reals) -> str:
    by_count: dict[int, list[str]] = {}
    for name, count in evaluator.num_images.items():
        by_count.setdefault(count, []).append(name)
    counts = ", ".join(
        f"{count} images{_fewer_reals(count, reals)} for {' '.join(names)}"
        for count, names in by_count.items()
    )
    mirrored = ", mirrored at random" if reals.mirror else ""
    return (
        f"{counts}, at {reals.resolution}x{reals.resolution}, against {reals.pyramid.directory}"
        f"{mirrored}; seed {reals.seed}"
    )


def _fewer_reals(count: int, reals: Reals) -> str:
    available = reals.pyramid.count
    return f" (against {available} reals)" if available < count else ""
