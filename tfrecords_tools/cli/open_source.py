"""From the flags of pgan-prepare-tfrecords to a source of images."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import ImageColor

from tfrecords_tools.cli.source_flags import source_kind
from tfrecords_tools.errors import UserError
from tfrecords_tools.sources import celeba, celebahq, lsun
from tfrecords_tools.sources.base import Source
from tfrecords_tools.sources.cifar import open_cifar
from tfrecords_tools.sources.hdf5 import open_hdf5
from tfrecords_tools.sources.idx import open_idx
from tfrecords_tools.sources.images import open_images
from tfrecords_tools.sources.mnist_rgb import open_mnist_rgb
from tfrecords_tools.sources.pixels import ImagePolicy
from tfrecords_tools.sources.svhn import open_svhn
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.sources.tfds import open_tfds

_LABELS = {"auto": None, "none": False, "classes": True}


@dataclasses.dataclass(frozen=True)
class _Request:
    """What is asked for: the flags' values, processes to use, where lines for the user go."""

    given: Mapping[str, Any]
    workers: int
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        return Path(self.given["input"])

    @property
    def resolution(self) -> int | None:
        return _resolution(self.given["resolution"])

    @property
    def with_labels(self) -> bool:
        return _LABELS[self.given["labels"]] is not False

    def expected(self, default: int) -> int:
        expected = self.given["expected_images"]
        return default if expected is None else expected


def open_source(given: Mapping[str, Any], workers: int, say: Callable[[str], None]) -> Source:
    """Opens the source that the flags describe.

    Args:
      given: the flags' values, after `check_source_flags`.
      workers: processes that may be used to look at the input.
      say: called with lines for the user.

    Raises:
      UserError: a flag or the input is wrong.
    """
    return _OPENERS[source_kind(given["source"])](_Request(given, workers, say))


def _images(request: _Request) -> Source:
    given = request.given
    use_folders = given["labels"] == "folders"
    skip = given["skip_bad_images"]
    policy = _policy(request)
    return open_images(request.path, policy, use_folders, request.workers, skip, request.say)


def _tfds(request: _Request) -> Source:
    given = request.given
    return open_tfds(
        given["source"],
        Path(given["input"]) if given["input"] else None,
        Path(given["manual_dir"]) if given["manual_dir"] else None,
        _policy(request),
        _LABELS[given["labels"]],
        request.workers,
        given["skip_bad_images"],
        request.say,
    )


def _idx(request: _Request) -> Source:
    given = request.given
    names = _comma_separated(given["label_names"]) or None
    return open_idx(request.path, given["split"], _LABELS[given["labels"]], names)


def _mnist_rgb(request: _Request) -> Source:
    return open_mnist_rgb(request.path, request.given["split"], request.given["num_images"])


def _cifar10(request: _Request) -> Source:
    return open_cifar(request.path, "cifar10", request.given["split"], request.with_labels)


def _cifar100(request: _Request) -> Source:
    return open_cifar(request.path, "cifar100", request.given["split"], request.with_labels)


def _svhn(request: _Request) -> Source:
    return open_svhn(request.path, request.given["split"], request.with_labels)


def _lsun(request: _Request) -> Source:
    given = request.given
    resolution = request.resolution or lsun.DEFAULT_RESOLUTION
    return lsun.open_lsun(request.path, resolution, given["num_images"], given["max_pixels"])


def _celeba(request: _Request) -> Source:
    attributes = _comma_separated(request.given["attributes"])
    expected = request.expected(celeba.COUNT)
    return celeba.open_celeba(request.path, attributes, expected, request.say)


def _celebahq(request: _Request) -> Source:
    resolution = request.resolution or celebahq.DEFAULT_RESOLUTION
    expected = request.expected(celebahq.COUNT)
    return celebahq.open_celebahq(request.path, resolution, expected, request.say)


def _hdf5(request: _Request) -> Source:
    return open_hdf5(request.path, _LABELS[request.given["labels"]])


def _synthetic(request: _Request) -> Source:
    given = request.given
    count = given["num_images"] or 10_000
    with_labels = given["labels"] == "classes"
    return SyntheticSource(count, request.resolution or 64, given["seed"], with_labels)


_OPENERS: Mapping[str, Callable[[_Request], Source]] = {
    "images": _images,
    "idx": _idx,
    "mnist_rgb": _mnist_rgb,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "svhn": _svhn,
    "lsun": _lsun,
    "celeba": _celeba,
    "celebahq": _celebahq,
    "hdf5": _hdf5,
    "tfds": _tfds,
    "synthetic": _synthetic,
}


def _policy(request: _Request) -> ImagePolicy:
    given = request.given
    channels = given["channels"]
    return ImagePolicy(
        channels=0 if channels == "auto" else int(channels),
        resolution=request.resolution or 0,
        crop=given["crop"],
        resize=given["resize"],
        background=_colour(given["background"]),
        max_pixels=given["max_pixels"],
        allow_upscale=given["allow_upscale"],
    )


def _comma_separated(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _resolution(text: str) -> int | None:
    """The resolution in pixels; None for auto."""
    if text == "auto":
        return None
    side = int(text) if text.isdecimal() else 0
    if side >= 4 and side & (side - 1) == 0:
        return side
    nearest = ""
    if side > 4:
        below = 1 << (side.bit_length() - 1)
        nearest = f"; the nearest are {below} and {2 * below}"
    raise UserError(
        f"--resolution must be auto or a power of two from 4{nearest}. Received: {text}"
    )


def _colour(text: str) -> tuple[int, int, int]:
    try:
        colour = ImageColor.getrgb(text)
    except ValueError as error:
        raise UserError(
            f"--background must be a colour: a name, #rrggbb or rgb(r,g,b). Received: {text}"
        ) from error
    return colour[0], colour[1], colour[2]
