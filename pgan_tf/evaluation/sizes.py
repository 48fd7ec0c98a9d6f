"""The size at which two sets of images are compared.

Nothing is scaled unless `--resolution` asks for it: a pyramid has levels, a generator one final
size, and image files the size that they are of.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pgan_tf.evaluation.file_images import size_text
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.image_files.survey import Survey
from tfrecords_tools.shape import SMALLEST_RESOLUTION, Base, parse_size

Size = tuple[int, int]


def parse_resolution(text: str) -> Size | None:
    """Return the height and width of `--resolution`; None for auto.

    Raises:
      UserError: it is no size.
    """
    if text == "auto":
        return None
    size = parse_size(text)
    if size is None or min(size) < 1:
        raise UserError(
            "--resolution must be auto, a number N for images of NxN, or WIDTHxHEIGHT. "
            f"Received: {text}"
        )
    return size


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two sets, as far as sizes go.

    Attributes:
      flag: that names it, `network` or `data_dir`.
      path: as given.
      sizes: the sizes that it has, the largest first: levels of a pyramid, the final size of a
        generator; empty for image files.
      survey: of image files; None for others.
    """

    flag: str
    path: Path
    sizes: Sequence[Size] = ()
    survey: Survey | None = None


def pyramid_side(flag: str, pyramid: Pyramid) -> Side:
    """Return a pyramid as a side."""
    sizes = [level.shape[1:] for level in reversed(pyramid.levels)]
    return Side(flag, pyramid.directory, sizes)


def resolution_of(pyramid: Pyramid, size: Size) -> int:
    """Return the resolution of the level of a size.

    Raises:
      ValueError: there is no such level.
    """
    sizes = [level.shape[1:] for level in pyramid.levels]
    return pyramid.levels[sizes.index(size)].resolution


def choose_size(fakes: Side, reals: Side, wanted: Size | None) -> Size:
    """Return the height and width at which two sets are compared.

    Args:
      fakes: the images of `--network`.
      reals: those of `--data_dir`.
      wanted: by `--resolution`; None for the largest size that both sides have.

    Raises:
      UserError: there is none; says which `--resolution` scales image files to one.
    """
    if wanted is not None:
        for side in (fakes, reals):
            if side.survey is None and wanted not in side.sizes:
                raise UserError(
                    f"--resolution must be a size of {side.path}: "
                    f"{' '.join(map(size_text, side.sizes))}. Received: {size_text(wanted)}"
                )
        return wanted
    if fakes.survey is None and reals.survey is None:
        for size in fakes.sizes:
            if size in reals.sizes:
                return size
        raise UserError(
            f"{fakes.path}: has {size_text(fakes.sizes[0])}, but {reals.path} has images of "
            f"another shape or size, {size_text(reals.sizes[0])}"
        )
    found = None
    for side, other in ((fakes, reals), (reals, fakes)):
        if side.survey is not None:
            found = side.survey.common_size
            if found is None or found not in _sizes(other):
                raise _unlike(side, side.survey, other)
    if found is None:
        raise ValueError("neither side is of image files")
    return found


def _sizes(side: Side) -> Sequence[Size]:
    """Return the sizes that a side has without scaling; none of image files of several."""
    if side.survey is None:
        return side.sizes
    common = side.survey.common_size
    return [] if common is None else [common]


def fit_survey(survey: Survey, size: Size, *, skip_bad_images: bool) -> Survey:
    """Return a survey without images that would have to be enlarged to a size.

    Raises:
      UserError: there are some, and they are not to be skipped, or no others.
    """
    unfit = ~_fits(survey, size)
    if not unfit.any():
        return survey
    if unfit.all() or not skip_bad_images:
        first = int(np.flatnonzero(unfit)[0])
        number = int(unfit.sum())
        others = f" ({number} such files in {survey.files.root})" if number > 1 else ""
        instead = "" if unfit.all() else ", or --skip_bad_images to leave such images out"
        raise UserError(
            f"{survey.name(first)}: is {_size_of(survey, first)} pixels, too small for "
            f"{size_text(size)}{others}; use a smaller --resolution{instead}"
        )
    return survey.without(unfit)


def _fits(survey: Survey, size: Size) -> np.ndarray:
    """Return which images are large enough for a size, `[n]` bool."""
    policy = ImagePolicy(channels=3, resolution=SMALLEST_RESOLUTION, base=Base(*size))
    sizes, places = np.unique(survey.sizes, axis=0, return_inverse=True)
    cropped = np.array([policy.cropped_size(int(height), int(width)) for height, width in sizes])
    large_enough: np.ndarray = np.all(cropped >= np.array(size), axis=1)
    return large_enough[places.reshape(-1)]


def _unlike(side: Side, survey: Survey, other: Side) -> UserError:
    """Return the error about image files that are not of the other side's size."""
    theirs = _sizes_in_words(other)
    suggested = _suggestion(side, other)
    if suggested is None:
        remedy = f"images are not enlarged, and {_size_of(survey, _least(survey))} is too small"
    else:
        shown = str(suggested[0]) if suggested[0] == suggested[1] else size_text(suggested)
        remedy = f"--resolution={shown} crops and scales them as pgan-prepare-tfrecords does"
    return UserError(
        f"--{side.flag}={side.path}: {_sizes_in_words(side)}, but {other.path} has {theirs}; "
        f"{remedy}"
    )


def _sizes_in_words(side: Side) -> str:
    if side.survey is None:
        return size_text(side.sizes[0])
    survey = side.survey
    least = _least(survey)
    if survey.common_size is not None:
        return f"images of {_size_of(survey, least)}"
    differing = np.flatnonzero((survey.sizes != survey.sizes[least]).any(axis=1))
    most = int(differing[survey.sizes[differing].prod(axis=1).argmax()])
    shown = [
        f"{_size_of(survey, at)} ({survey.files.names[int(survey.indices[at])]})"
        for at in (least, most)
    ]
    return f"images of several sizes, such as {shown[0]} and {shown[1]}"


def _least(survey: Survey) -> int:
    """Return the place of an image with the fewest pixels."""
    return int(survey.sizes.prod(axis=1).argmin())


def _size_of(survey: Survey, place: int) -> str:
    height, width = survey.sizes[place].tolist()
    return size_text((height, width))


def _suggestion(side: Side, other: Side) -> Size | None:
    """Return the largest size to which no image has to be enlarged; None if there is none."""
    surveys = [each.survey for each in (side, other) if each.survey is not None]
    sizes = list(other.sizes)
    if not sizes:
        # Of two folders: a size that all images of one have, or the largest square of a pyramid.
        common = [survey.common_size for survey in surveys]
        sizes = [size for size in common if size is not None]
        least = min(int(survey.sizes.min()) for survey in surveys)
        sizes += [(1 << log2, 1 << log2) for log2 in reversed(range(least.bit_length()))]
    return next((s for s in sizes if all(_fits(survey, s).all() for survey in surveys)), None)
