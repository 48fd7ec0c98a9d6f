"""pgan-prepare-tfrecords: images in, a pyramid out."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from tfrecords_tools.cli.first_run import first_run, has_nvidia_gpu
from tfrecords_tools.cli.output_flags import (
    OUTPUT_FLAGS,
    WORK_FLAGS,
    beam_options,
    define_output_flags,
)
from tfrecords_tools.cli.source_flags import (
    check_source_flags,
    define_source_flags,
    open_source,
)
from tfrecords_tools.command import Command, Help, Section, run
from tfrecords_tools.command.interruption import interruptible
from tfrecords_tools.errors import required
from tfrecords_tools.format.example import image_type
from tfrecords_tools.host import core_count
from tfrecords_tools.printable import say
from tfrecords_tools.sources.base import Source
from tfrecords_tools.sources.registry import SOURCES, find_source
from tfrecords_tools.sources.spec import SourceSpec
from tfrecords_tools.writing.disk import readable_bytes
from tfrecords_tools.writing.writer import (
    Summary,
    WriteOptions,
    check_pyramid_output,
    write_pyramid,
)

NAME = "pgan-prepare-tfrecords"

# The manifest records flags that shape the pyramid's bytes.
_RECORDED = (OUTPUT_FLAGS - WORK_FLAGS) | {"source", "num_images"}
_LISTED_CLASSES = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run(COMMAND, argv)


def define_flags(values: flags.FlagValues) -> None:
    """Define the command's flags."""
    define_source_flags(values)
    flags.DEFINE_string(
        "output",
        None,
        "The directory to make; its last part names the pyramid. It appears when the pyramid is"
        " complete: until then a temporary directory lies beside it.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "overwrite",
        False,
        "Replace the output if it is a pyramid that exists already.",
        flag_values=values,
    )
    define_output_flags(values)
    defaults = ", ".join(
        f"{spec.default_num_images} for {spec.name}"
        for spec in SOURCES.values()
        if spec.default_num_images is not None
    )
    flags.DEFINE_integer(
        "num_images",
        None,
        f"Number of images to take, after shuffling. Default: all; {defaults}.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_workers",
        None,
        "Processes to use; the bytes do not depend on it. Default: one for each core.",
        lower_bound=1,
        flag_values=values,
    )


def prepare(values: flags.FlagValues) -> None:
    """Write the pyramid that the flags describe."""
    given = values.flag_values_dict()
    spec = find_source(required(given["source"], "source", NAME))
    output = Path(os.path.abspath(required(given["output"], "output", NAME)))
    check_source_flags(spec, values)
    check_pyramid_output(output, given["overwrite"])  # before a long look at the input
    beam = beam_options(given)
    num_workers = given["num_workers"] or (1 if spec.in_memory else core_count())
    with interruptible(NAME, (signal.SIGTERM, signal.SIGHUP)):
        source = open_source(spec, given, num_workers, say)
        options = WriteOptions(
            shuffle=source.shuffled and given["shuffle"],
            num_images=given["num_images"],
            num_workers=num_workers,
            skip_bad_images=given["skip_bad_images"],
            overwrite=given["overwrite"],
            encoding=given["encoding"],
            shards=given["shards"],
            resume=given["resume"],
            beam=beam,
        )
        summary = write_pyramid(source, output, options, _recorded_flags(spec, given), say)
    say(_summary_line(source, summary))
    if summary.class_counts:
        say(_classes_line(source.label_names, summary.class_counts))
    for line in first_run(
        given["output"],
        f"runs/{output.name}",
        resolution=source.resolution,
        base=source.base,
        count=summary.count,
        source=spec.name,
        on_gpu=has_nvidia_gpu(),
    ):
        say(line)


def _recorded_flags(spec: SourceSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that shape the pyramid's bytes, for the manifest."""
    unnamed = {
        flag.name
        for flag in spec.flags
        if not flag.recorded_default and given[flag.name] == flag.default
    }
    return {name: given[name] for name in sorted((spec.flag_names | _RECORDED) - unnamed)}


def _summary_line(source: Source, summary: Summary) -> str:
    labels = f"{summary.label_size} classes" if summary.label_size else "no labels"
    skipped = f", {summary.skipped} bad images skipped" if summary.skipped else ""
    image = image_type(source.channels, source.base, source.resolution, source.bits)
    return (
        f"Wrote {summary.count} images, {image.text}, {labels}{skipped}:"
        f" {readable_bytes(summary.bytes)} in {summary.seconds:.1f} s"
    )


def _classes_line(names: Sequence[str] | None, counts: Sequence[int]) -> str:
    """Return the classes with their numbers of images, the first ones of many."""
    shown = names or [str(number) for number in range(len(counts))]
    listed = [f"{name}: {count}" for name, count in zip(shown, counts, strict=True)]
    more = len(listed) - _LISTED_CLASSES
    rest = f", and {more} more" if more > 0 else ""
    return f"Images of each class: {', '.join(listed[:_LISTED_CLASSES])}{rest}"


def _source_section(spec: SourceSpec) -> Section:
    """Return the section of `--help` about one source."""
    extra = f"; needs pip install 'pgan_tf[{spec.extra}]'" if spec.extra else ""
    title = f"--source={spec.shown}: {spec.description}{extra}"
    return Section(spec.name, title, tuple(flag.name for flag in spec.flags))


COMMAND = Command(
    NAME,
    Help(
        description="writes a data set of images as a pyramid: TFRecords of every resolution from"
        " full down to 4x4, which pgan-train and the original implementation read. See"
        " docs/guide/data.md.",
        example=f"{NAME} --source=images --input=photos/ --output=data/photos --resolution=128",
        most_used=("source", "input", "output", "resolution", "labels", "num_images", "overwrite"),
        sections=(
            Section(
                "common",
                "flags of every source",
                ("source", "output", "num_images", "overwrite", "encoding", "shards"),
            ),
            Section(
                "work",
                "processes and machines that do the work",
                ("num_workers", "resume", "runner", "beam_options"),
            ),
            *(_source_section(spec) for spec in SOURCES.values()),
        ),
    ),
    define_flags,
    prepare,
)


if __name__ == "__main__":
    sys.exit(main())
