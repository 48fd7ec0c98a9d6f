"""The two sides of a comparison, opened at one size: the networks to evaluate, and the reals."""

import os
from collections.abc import Iterable
from pathlib import Path

from pgan_tf.evaluation.file_images import FileImages, open_survey
from pgan_tf.evaluation.image_sets import ImageSet, PyramidImages, class_names
from pgan_tf.evaluation.images import Reals, opaque_channels
from pgan_tf.evaluation.kinds import Kind, kind_of_data, kind_of_network
from pgan_tf.evaluation.options import EvaluateOptions
from pgan_tf.evaluation.sizes import (
    Side,
    Size,
    choose_size,
    fit_survey,
    parse_resolution,
    pyramid_side,
    resolution_of,
)
from pgan_tf.evaluation.snapshots import SnapshotSelection, select_snapshots
from pgan_tf.evaluation.stored_selection import StoredSelection
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import user_path
from tfrecords_tools.format import Pyramid, open_pyramid
from tfrecords_tools.image_files.survey import Survey
from tfrecords_tools.printable import say

Selection = SnapshotSelection | StoredSelection
_Opened = Pyramid | Survey


def open_sides(options: EvaluateOptions) -> tuple[Selection, Reals]:
    """Return the networks to evaluate, and the reals to compare them with.

    Raises:
      UserError: something does not exist, or the two do not fit together.
    """
    wanted = parse_resolution(options.resolution)
    kind = kind_of_network(options.network)
    if kind is Kind.GENERATOR:
        return _open_generators(options, wanted)
    for flag, given in (
        ("all_snapshots", options.all_snapshots),
        ("ema_length", options.ema_length is not None),
    ):
        if given:
            raise UserError(f"--{flag} is for generators. Received: --network={options.network}")
    if not options.data_dir:
        raise UserError(
            f"--data_dir is required: {options.network} holds images, which are compared with other"
            " images"
        )
    data_kind = kind_of_data(options.data_dir)
    fakes = _open(options.network, kind, "network", options)
    if os.path.samefile(user_path(options.network), user_path(options.data_dir)):
        reals = fakes
    else:
        reals = _open(options.data_dir, data_kind, "data_dir", options)
    size = choose_size(_side("network", fakes), _side("data_dir", reals), wanted)
    data = _at_size(reals, size, options)
    selection = StoredSelection(_at_size(fakes, size, options, class_names(data)))
    if selection.images.digest == data.digest:
        say("--network and --data_dir are the same images, which are compared with themselves")
    channels = opaque_channels(selection.images.channels)
    return selection, _reals(data, channels, options, mirror=bool(options.mirror_augment))


def refuse_among_images(output: Path, places: Iterable[Path]) -> None:
    """Refuse to write results, of which some are pictures, into a folder of pictures.

    Args:
      output: the directory for results.
      places: what the two sides name, of any kind.

    Raises:
      UserError: the directory is one of these folders, or lies in one.
    """
    for folder in places:
        if not folder.is_dir() or kind_of_data(folder) is not Kind.FILES:
            continue
        if output.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"--output must lie outside of the pictures in {folder}. Received: {output}"
            )


def _open_generators(
    options: EvaluateOptions, wanted: Size | None
) -> tuple[SnapshotSelection, Reals]:
    selection = select_snapshots(
        options.network, all_snapshots=options.all_snapshots, ema_length=options.ema_length
    )
    config = selection.config
    data_dir = options.data_dir or ("" if config is None else config.data.data_dir)
    if not data_dir:
        raise UserError(
            f"--data_dir is required: {selection.path} does not say what it was trained on"
        )
    mirror = options.mirror_augment
    if mirror is None:
        mirror = config is not None and config.data.mirror_augment
    # What a run was trained on is a pyramid, or gone.
    kind = kind_of_data(data_dir) if options.data_dir else Kind.PYRAMID
    opened = _open(data_dir, kind, "data_dir", options)
    if isinstance(opened, Pyramid):
        data: ImageSet = PyramidImages(opened, _level_of(selection, opened, wanted))
        channels = opaque_channels(data.channels)
    else:
        height, width, channels = selection.final_shape
        network = Side("network", selection.path, [(height, width)])
        size = choose_size(network, _side("data_dir", opened), wanted)
        data = _at_size(opened, size, options, selection.class_names)
    return selection, _reals(data, channels, options, mirror=mirror)


def _open(location: str, kind: Kind, flag: str, options: EvaluateOptions) -> _Opened:
    """Open a pyramid, or survey image files."""
    if kind is Kind.FILES:
        path = user_path(location)
        return open_survey(path, flag=flag, skip_bad_images=options.skip_bad_images, say=say)
    if "://" in location:
        raise UserError(
            f"--data_dir must be a directory on a disk, which metrics read. Received: {location}"
        )
    return open_pyramid(location)


def _side(flag: str, opened: _Opened) -> Side:
    if isinstance(opened, Pyramid):
        return pyramid_side(flag, opened)
    return Side(flag, opened.files.root, survey=opened)


def _at_size(
    opened: _Opened,
    size: Size,
    options: EvaluateOptions,
    names: tuple[str, ...] | None = None,
) -> ImageSet:
    """Return images at the size of the comparison; `names` are the classes of the other side."""
    if isinstance(opened, Survey):
        fitting = fit_survey(opened, size, skip_bad_images=options.skip_bad_images)
        if fitting.count < opened.count:
            say(f"Skipped of {opened.files.root}, too small: {opened.count - fitting.count}")
        return FileImages(fitting, size, names)
    return PyramidImages(opened, resolution_of(opened, size))


def _reals(images: ImageSet, channels: int, options: EvaluateOptions, *, mirror: bool) -> Reals:
    """Return reals that are read as RGB if the fakes, of `channels` without alpha, are RGB."""
    return Reals(
        images, seed=options.seed, mirror=mirror, as_rgb=channels > opaque_channels(images.channels)
    )


def _level_of(selection: SnapshotSelection, pyramid: Pyramid, wanted: Size | None) -> int:
    """Return the resolution to compare images at: the one that the generators grow to.

    Raises:
      UserError: the data has no such level.
    """
    if wanted is not None:
        data = pyramid_side("data_dir", pyramid)
        network = Side("network", selection.path, data.sizes)  # checked when it is loaded
        return resolution_of(pyramid, choose_size(network, data, wanted))
    resolution = selection.final_resolution or pyramid.resolution
    if resolution > pyramid.resolution:
        base = selection.base or pyramid.base
        raise UserError(
            f"{selection.path} grows to {base.text_at(resolution)}, but {pyramid.directory} has "
            f"{pyramid.size_text} at most"
        )
    return resolution
