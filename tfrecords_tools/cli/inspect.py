"""pgan-inspect-tfrecords: describes, verifies, shows, extracts and compares pyramids."""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from tfrecords_tools.command import EXIT_OK, Command, CommandGroup, Help, run_one_of
from tfrecords_tools.command.resolution_flag import ResolutionParser
from tfrecords_tools.errors import UserError, required
from tfrecords_tools.files import whole_output_file
from tfrecords_tools.format import Pyramid, open_pyramid
from tfrecords_tools.host import core_count
from tfrecords_tools.inspection.comparison import (
    compare_levels,
    describe_kinds,
    draw_differences,
    listed,
)
from tfrecords_tools.inspection.extraction import LABELS_NAME, extract
from tfrecords_tools.inspection.overview import describe, draw_preview
from tfrecords_tools.inspection.selection import (
    caption,
    find_resolution,
    select_images,
)
from tfrecords_tools.inspection.sheet import draw_sheet
from tfrecords_tools.inspection.verification import verify
from tfrecords_tools.printable import say

NAME = "pgan-inspect-tfrecords"
DESCRIPTION = "inspects pyramids written by pgan-prepare-tfrecords or the original implementation."
# A pyramid is damaged, or two differ: neither a success nor a mistake by the user.
EXIT_FOUND = 1
_DRAWN_DIFFERENCES = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_one_of(COMMANDS, argv)


def info(values: flags.FlagValues, directory: str) -> None:
    """Describe a pyramid and draw a preview of it."""
    pyramid = open_pyramid(directory)
    for line in describe(pyramid):
        say(line)
    output = values["output"].value
    if output is None:
        output = f"{pyramid.name}-preview.png"
    if output:
        with whole_output_file(_png_path(output)) as path:
            draw_preview(pyramid).save(path, "PNG")
        say(f"Preview: {output}")


def check(values: flags.FlagValues, directory: str) -> int:
    """Verify a pyramid; return 1 if it is damaged."""
    problems = verify(Path(directory), _workers(values))
    limit = values.flag_values_dict()["max_listed"]
    for problem in problems[:limit]:
        say(problem)
    if len(problems) > limit:
        say(f"... and {len(problems) - limit} more; --max_listed shows more")
    if problems:
        say(f"DAMAGED: {directory}: {len(problems)} problem(s)")
        return EXIT_FOUND
    pyramid = open_pyramid(directory)
    sums = "" if pyramid.manifest else " (without a manifest, so without sums of the files)"
    say(
        f"OK: {directory}: {pyramid.count} images at {len(pyramid.levels)} levels; records,"
        f" checksums, shapes and means hold{sums}"
    )
    return EXIT_OK


def show(values: flags.FlagValues, directory: str) -> None:
    """Draw a contact sheet."""
    pyramid = open_pyramid(directory)
    output = values["output"].value or f"{pyramid.name}-sheet.png"
    path = _png_path(output)
    side = find_resolution(pyramid, values["resolution"].value)
    given = values.flag_values_dict()
    limit = given["num_images"] or 64
    indices = select_images(pyramid, given["images"], given["label"], limit, given["seed"])
    captions = None
    if given["captions"]:
        captions = [caption(pyramid, int(index)) for index in indices]
    level = pyramid.level(side)
    images = level.read(indices)
    with whole_output_file(path) as temporary:
        draw_sheet(images, captions, given["columns"]).save(temporary, "PNG")
    say(f"{len(indices)} images of {level.size_text}: {output}")


def extract_images(values: flags.FlagValues, directory: str) -> None:
    """Write images as PNG files."""
    given = values.flag_values_dict()
    required(given["output"], "output", f"{NAME} extract")
    pyramid = open_pyramid(directory)
    labels = given["labels"]
    if labels == "auto":
        labels = "csv" if pyramid.label_size else "none"
    side = find_resolution(pyramid, given["resolution"])
    indices = select_images(
        pyramid, given["images"], given["label"], given["num_images"], given["seed"]
    )
    extract(pyramid, indices, side, Path(given["output"]), labels, _workers(values))
    how = {"none": "", "csv": f", labels in {LABELS_NAME}", "folders": ", a folder for each class"}
    size = pyramid.level(side).size_text
    say(f"Wrote {len(indices)} images of {size} to {given['output']}{how[labels]}")


def compare(values: flags.FlagValues, first: str, second: str) -> int:
    """Compare two pyramids; return 1 if they differ."""
    given = values.flag_values_dict()
    pyramids = open_pyramid(first), open_pyramid(second)
    found = list(describe_kinds(*pyramids))
    for line in found:
        say(f"differ in {line}")
    kinds = [(pyramid.channels, pyramid.bits, pyramid.base) for pyramid in pyramids]
    if kinds[0] != kinds[1]:
        return EXIT_FOUND
    sides = _common_sides(*pyramids, given["resolution"])
    for level in compare_levels(*pyramids, sides, _workers(values)):
        full = pyramids[0].level(level.resolution)
        side = full.size_text
        if not level.differing:
            say(f"{side}: all {level.compared} images are equal")
            continue
        found.append(side)
        values_compared = math.prod(full.shape) * len(level.differing)
        say(
            f"{side}: {len(level.differing)} of {level.compared} images differ, by up to"
            f" {level.largest}, on average {level.total / values_compared:.2f} a value:"
            f" {listed(level.differing, given['max_listed'])}"
        )
        output = given["output"]
        if output and level.resolution == max(sides):
            with whole_output_file(_png_path(output)) as path:
                shown = level.differing[:_DRAWN_DIFFERENCES]
                draw_differences(*pyramids, level.resolution, shown).save(path, "PNG")
            say(f"The first {len(shown)} of them: {output}")
    return EXIT_FOUND if found else EXIT_OK


def _common_sides(first: Pyramid, second: Pyramid, resolution: int | None) -> list[int]:
    common = {level.resolution for level in first.levels}
    common &= {level.resolution for level in second.levels}
    if resolution is None:
        return sorted(common, reverse=True)
    if resolution not in common:
        levels = ", ".join(str(side) for side in sorted(common))
        raise UserError(
            f"--resolution must be one that both have: {levels}. Received: {resolution}"
        )
    return [resolution]


def _define_info(values: flags.FlagValues) -> None:
    _string(
        values,
        "output",
        "The preview to write, a PNG file. Default: NAME-preview.png in the current directory;"
        " --output= writes none.",
    )


def _define_check(values: flags.FlagValues) -> None:
    _integer(values, "max_listed", 20, "Most problems to list.")
    _define_workers(values)


def _define_show(values: flags.FlagValues) -> None:
    _string(
        values,
        "output",
        "The sheet to write, a PNG file. Default: NAME-sheet.png in the current directory.",
    )
    _define_choice(values, "Default: 64.")
    _integer(values, "columns", None, "Images in a row. Default: as many as make the sheet square.")
    flags.DEFINE_boolean(
        "captions", True, "Write numbers and classes under the images.", flag_values=values
    )


def _define_extract(values: flags.FlagValues) -> None:
    _string(values, "output", "The folder to make. It appears when the command is done. Required.")
    _define_choice(values, "Default: all.")
    flags.DEFINE_enum(
        "labels",
        "auto",
        ("auto", "none", "folders", "csv"),
        f"Labels to write. folders: a folder for each class; csv: a table, {LABELS_NAME}; auto: csv"
        " if there are labels, else none.",
        flag_values=values,
    )
    _define_workers(values)


def _define_compare(values: flags.FlagValues) -> None:
    _resolution(values, "Resolution of the one level to compare. Default: all that both have.")
    _integer(values, "max_listed", 10, "Most differing images to list of each level.")
    _string(
        values,
        "output",
        "A PNG file to write: the first images that differ, side by side. Default: none.",
    )
    _define_workers(values)


def _define_choice(values: flags.FlagValues, default: str) -> None:
    _string(values, "images", "Numbers of the images to choose from, such as 0-9,17. Default: all.")
    _string(values, "label", "Only images of this class, by its name or number.")
    _integer(values, "num_images", None, f"Most images to take. {default}")
    _integer(
        values,
        "seed",
        None,
        "Seed by which images are chosen at random. Default: the first images are taken.",
    )
    _resolution(values, "Resolution of the level. Default: the full resolution.")


def _define_workers(values: flags.FlagValues) -> None:
    _integer(values, "num_workers", None, "Processes to use. Default: one for each core.")


def _resolution(values: flags.FlagValues, text: str) -> None:
    parser = ResolutionParser(lower_bound=1)
    flags.DEFINE(parser, "resolution", None, text, flag_values=values)


def _string(values: flags.FlagValues, name: str, text: str) -> None:
    flags.DEFINE_string(name, None, text, flag_values=values)


def _integer(values: flags.FlagValues, name: str, default: int | None, text: str) -> None:
    lowest = 0 if name == "seed" else 1
    flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=values)


def _png_path(output: str) -> Path:
    if not output.lower().endswith(".png"):
        raise UserError(f"--output must name a .png file. Received: {output}")
    return Path(output)


def _workers(values: flags.FlagValues) -> int:
    return values["num_workers"].value or core_count()


def _command(
    name: str,
    description: str,
    example: str,
    define: Callable[[flags.FlagValues], None],
    body: Callable[..., int | None],
    arguments: tuple[str, ...] = ("DIRECTORY",),
) -> Command:
    return Command(
        f"{NAME} {name}", Help(description, f"{NAME} {example}"), define, body, arguments
    )


COMMANDS = CommandGroup(
    NAME,
    DESCRIPTION,
    f"{NAME} verify data/photos",
    {
        "info": _command(
            "info",
            "describes a pyramid (images, levels, sizes, labels) and draws a preview of it.",
            "info data/photos --output=preview.png",
            _define_info,
            info,
        ),
        "verify": _command(
            "verify",
            "checks every record's checksum, shape and pixels, that each level is the 2x2 mean of"
            " the one above, and the sums in the manifest. Exit code 1 if the pyramid is damaged.",
            "verify data/photos",
            _define_check,
            check,
        ),
        "show": _command(
            "show",
            "draws a contact sheet: images side by side, with their numbers and classes.",
            "show data/photos --num_images=100 --output=sheet.png",
            _define_show,
            show,
        ),
        "extract": _command(
            "extract",
            "writes images as PNG files, named by their numbers.",
            "extract data/photos --output=images --images=0-99",
            _define_extract,
            extract_images,
        ),
        "compare": _command(
            "compare",
            "compares two pyramids, image by image at every level. Exit code 1 if they differ.",
            "compare data/photos data/photos-again",
            _define_compare,
            compare,
            ("DIRECTORY", "OTHER_DIRECTORY"),
        ),
    },
)


if __name__ == "__main__":
    sys.exit(main())
