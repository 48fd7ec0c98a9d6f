"""pgan-prepare-tfrecords: images in, a pyramid out."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from PIL import ImageColor

from tfrecords_tools.command import run
from tfrecords_tools.errors import UserError
from tfrecords_tools.pixels import ImagePolicy
from tfrecords_tools.sources.base import Source
from tfrecords_tools.sources.idx import open_idx
from tfrecords_tools.sources.images import open_images
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.staging import check_output
from tfrecords_tools.writer import WriteOptions, readable_bytes, write_pyramid

NAME = "pgan-prepare-tfrecords"
DESCRIPTION = (
    "writes a data set of images as a pyramid: TFRecords of every resolution from full down to 4x4,"
    " which pgan-train and the original implementation read. See docs/datasets.md."
)

# The flags that mean something to each source. Others are refused, not ignored.
_SOURCE_FLAGS = {
    "images": frozenset(
        {"input", "resolution", "channels", "labels", "crop", "resize", "background", "shuffle"}
        | {"max_pixels", "skip_bad_images", "allow_upscale"}
    ),
    "idx": frozenset({"input", "split", "labels", "label_names", "shuffle"}),
    "synthetic": frozenset({"resolution", "seed", "labels"}),
}
_SOURCE_LABELS = {
    "images": ("none", "folders"),
    "idx": ("none", "classes"),
    "synthetic": ("none", "classes"),
}
_COMMON_FLAGS = frozenset({"source", "output", "num_images", "num_workers", "overwrite"})
_NOT_RECORDED = frozenset({"output", "overwrite", "num_workers"})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run(NAME, DESCRIPTION, argv, define_flags, prepare)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""

    def enum(name: str, default: str | None, choices: Sequence[str], text: str) -> None:
        flags.DEFINE_enum(name, default, choices, text, flag_values=values)

    def boolean(name: str, default: bool, text: str) -> None:
        flags.DEFINE_boolean(name, default, text, flag_values=values)

    def string(name: str, default: str | None, text: str) -> None:
        flags.DEFINE_string(name, default, text, flag_values=values)

    def integer(name: str, default: int | None, text: str, lowest: int = 1) -> None:
        flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=values)

    enum(
        "source",
        None,
        tuple(_SOURCE_FLAGS),
        "images: a folder of image files; idx: MNIST, Fashion-MNIST and others in that format;"
        " synthetic: drawn shapes, no input.",
    )
    string("input", None, "images: the folder. idx: the folder of the files, or the images' file.")
    string(
        "output",
        None,
        "The directory to make; its last part names the pyramid. It appears when all is done: until"
        " then a temporary directory lies beside it.",
    )
    boolean("overwrite", False, "Replace the output if it is a pyramid that exists already.")
    string(
        "resolution",
        "auto",
        "Side in pixels, a power of two from 4. auto: the largest power of two that enlarges no"
        " image; 64 for synthetic.",
    )
    enum("channels", "auto", ("auto", "1", "3"), "auto: 1 if every image is grayscale, else 3.")
    enum(
        "labels",
        "auto",
        ("auto", "none", "folders", "classes"),
        "images: folders makes each folder directly below --input a class (auto: none). idx:"
        " classes reads the labels' file beside the images' (auto: if there is one). synthetic: the"
        " shapes are classes (auto: none).",
    )
    string("label_names", None, "idx: the classes' names, comma-separated. Default: 0,1,2,...")
    enum("split", "train", ("train", "test"), "idx: which files of a folder to read.")
    enum(
        "crop",
        "center",
        ("center", "pad", "none"),
        "images: how they become square. center: the largest centred square; pad: background is"
        " added; none: images that are not square are errors.",
    )
    enum(
        "resize",
        "lanczos",
        ("lanczos", "bicubic", "bilinear", "box", "nearest"),
        "images: the filter with which the square is scaled to the resolution.",
    )
    string(
        "background",
        "white",
        "images: what transparent pixels and padding show: a name, #rrggbb or rgb(r,g,b).",
    )
    boolean(
        "allow_upscale",
        False,
        "images: enlarge images smaller than the resolution, which otherwise are errors.",
    )
    boolean(
        "skip_bad_images",
        False,
        "images: leave out files that are damaged, too small or too large, and list them, rather"
        " than stop at the first.",
    )
    integer("max_pixels", 100_000_000, "images: files with more pixels are bad: not decoded.")
    boolean(
        "shuffle",
        True,
        "images, idx: shuffle once, the same way each time, as the original does; --noshuffle keeps"
        " the order of the paths or of the file.",
    )
    integer(
        "num_images", None, "How many images to take, after shuffling. Default: all; 10000 for"
        " synthetic."
    )  # fmt: skip
    integer("seed", 0, "synthetic: other seeds draw other images.", lowest=0)
    integer("num_workers", None, "Processes to use. Default: one a core. Changes no byte.")


def prepare(values: flags.FlagValues) -> None:
    """Writes the pyramid that the flags describe."""
    given = values.flag_values_dict()
    for name in ("source", "output"):
        if not given[name]:
            raise UserError(f"--{name} is required. See {NAME} --help")
    _refuse_foreign_flags(values, given["source"])
    workers = given["num_workers"] or _cores()
    output = Path(os.path.abspath(given["output"]))
    check_output(output, given["overwrite"])  # before a long look at the input
    with _terminated_as_interrupted():
        source = _open_source(given, workers)
        options = WriteOptions(
            shuffle=source.shuffled and given["shuffle"],
            num_images=None if given["source"] == "synthetic" else given["num_images"],
            num_workers=workers,
            skip_bad_images=given["skip_bad_images"],
            overwrite=given["overwrite"],
        )
        summary = write_pyramid(source, output, options, _recorded(given), _say)
    labels = f"{summary.label_size} classes" if summary.label_size else "no labels"
    skipped = f", {summary.skipped} bad images skipped" if summary.skipped else ""
    _say(
        f"Wrote {summary.count} images, {source.channels}x{source.resolution}x{source.resolution},"
        f" {labels}{skipped}: {readable_bytes(summary.bytes)} in {summary.seconds:.1f} s"
    )
    _say(
        f"Train on it: pgan-train --data_dir={values['output'].value} --run_dir=runs/{output.name}"
    )


def _open_source(given: Mapping[str, Any], workers: int) -> Source:
    kind = given["source"]
    labels = given["labels"]
    if labels not in ("auto", *_SOURCE_LABELS[kind]):
        allowed = " or ".join(("auto", *_SOURCE_LABELS[kind]))
        raise UserError(f"--labels must be {allowed} for --source={kind}. Received: {labels}")
    resolution = _resolution(given["resolution"])
    if kind == "synthetic":
        count = given["num_images"] or 10_000
        return SyntheticSource(count, resolution or 64, given["seed"], labels == "classes")
    if not given["input"]:
        raise UserError(f"--input is required for --source={kind}")
    path = Path(given["input"])
    if kind == "idx":
        names = given["label_names"]
        return open_idx(
            path,
            given["split"],
            {"auto": None, "none": False, "classes": True}[labels],
            tuple(name.strip() for name in names.split(",")) if names else None,
        )
    channels = given["channels"]
    policy = ImagePolicy(
        channels=0 if channels == "auto" else int(channels),
        resolution=resolution or 0,
        crop=given["crop"],
        resize=given["resize"],
        background=_colour(given["background"]),
        max_pixels=given["max_pixels"],
        allow_upscale=given["allow_upscale"],
    )
    skip = given["skip_bad_images"]
    return open_images(path, policy, labels == "folders", workers, skip, _say)


def _refuse_foreign_flags(values: flags.FlagValues, kind: str) -> None:
    """Refuses flags that were given but mean nothing to the source."""
    known = _SOURCE_FLAGS[kind] | _COMMON_FLAGS
    for names in _SOURCE_FLAGS.values():
        for name in sorted(names - known):
            if values[name].present:
                raise UserError(f"--{name} has no meaning for --source={kind}; leave it out")


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


def _recorded(given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that shaped the pyramid's bytes, for the manifest."""
    known = _SOURCE_FLAGS[given["source"]] | _COMMON_FLAGS
    return {name: given[name] for name in sorted(known - _NOT_RECORDED)}


def _cores() -> int:
    """Cores that this process may use: in a container often fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Lets SIGTERM end the command as Ctrl-C does, so that what is half-written is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(line: str) -> None:
    # A file's name may hold bytes that are no text, which must not stop the run.
    sys.stdout.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
