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

from tfrecords_tools.cli.open_source import open_source
from tfrecords_tools.cli.output_flags import (
    OUTPUT_FLAGS,
    WORK_FLAGS,
    beam_options,
    define_output_flags,
)
from tfrecords_tools.cli.source_flags import (
    SOURCES,
    check_source_flags,
    define_source_flags,
    source_kind,
)
from tfrecords_tools.command import run
from tfrecords_tools.errors import required
from tfrecords_tools.host import core_count
from tfrecords_tools.writing.writer import (
    WriteOptions,
    check_pyramid_output,
    readable_bytes,
    write_pyramid,
)

NAME = "pgan-prepare-tfrecords"
DESCRIPTION = (
    "writes a data set of images as a pyramid: TFRecords of every resolution from full down to 4x4,"
    " which pgan-train and the original implementation read. See docs/guide/data.md."
)

_COMMON_FLAGS = OUTPUT_FLAGS | {"source", "output", "num_images", "num_workers", "overwrite"}
_NOT_RECORDED = WORK_FLAGS | {"output", "overwrite", "num_workers"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run(NAME, DESCRIPTION, argv, define_flags, prepare)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""

    def boolean(name: str, default: bool, text: str) -> None:
        flags.DEFINE_boolean(name, default, text, flag_values=values)

    def string(name: str, default: str | None, text: str) -> None:
        flags.DEFINE_string(name, default, text, flag_values=values)

    def integer(name: str, default: int | None, text: str, lowest: int = 1) -> None:
        flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=values)

    define_source_flags(values)
    string(
        "output",
        None,
        "The directory to make; its last part names the pyramid. It appears when all is done: until"
        " then a temporary directory lies beside it.",
    )
    boolean("overwrite", False, "Replace the output if it is a pyramid that exists already.")
    define_output_flags(values)
    integer(
        "num_images", None, "How many images to take, after shuffling. Default: all; 1000000"
        " for mnist_rgb, 10000 for synthetic."
    )  # fmt: skip
    integer("num_workers", None, "Processes to use. Default: one a core. Changes no byte.")


def prepare(values: flags.FlagValues) -> None:
    """Writes the pyramid that the flags describe."""
    given = values.flag_values_dict()
    for name in ("source", "output"):
        required(given[name], name, NAME)
    check_source_flags(values, _COMMON_FLAGS)
    kind = SOURCES[source_kind(given["source"])]
    workers = given["num_workers"] or (1 if kind.at_once else core_count())
    output = Path(os.path.abspath(given["output"]))
    check_pyramid_output(output, given["overwrite"])  # before a long look at the input
    beam = beam_options(given)
    with _terminated_as_interrupted():
        source = open_source(given, workers, _say)
        options = WriteOptions(
            shuffle=source.shuffled and given["shuffle"],
            num_images=given["num_images"],
            num_workers=workers,
            skip_bad_images=given["skip_bad_images"],
            overwrite=given["overwrite"],
            encoding=given["encoding"],
            shards=given["shards"],
            resume=given["resume"],
            beam=beam,
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


def _recorded(given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that shaped the pyramid's bytes, for the manifest."""
    known = SOURCES[source_kind(given["source"])].flags | _COMMON_FLAGS
    return {name: given[name] for name in sorted(known - _NOT_RECORDED)}


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
