"""pgan-inspect-tfrecords: what is in a pyramid, whether it is whole, and how two differ."""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from tfrecords_tools.command import EXIT_OK, SubCommand, run_one_of
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

NAME = "pgan-inspect-tfrecords"
DESCRIPTION = "looks at pyramids written by pgan-prepare-tfrecords or the original implementation."
# A pyramid is damaged, or two differ: neither a success nor a mistake by the user.
EXIT_FOUND = 1
_DRAWN_DIFFERENCES = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_one_of(NAME, DESCRIPTION, argv, _SUB_COMMANDS)


def info(values: flags.FlagValues, directory: str) -> None:
    """Prints what a pyramid is, and draws a preview."""
    pyramid = open_pyramid(directory)
    for line in describe(pyramid):
        _say(line)
    output = values["output"].value
    if output is None:
        output = f"{pyramid.name}-preview.png"
    if output:
        with whole_output_file(_png_path(output)) as path:
            draw_preview(pyramid).save(path, "PNG")
        _say(f"Preview: {output}")


def check(values: flags.FlagValues, directory: str) -> int:
    """Verifies a pyramid."""
    problems = verify(Path(directory), _workers(values))
    limit = values.flag_values_dict()["max_listed"]
    for problem in problems[:limit]:
        _say(problem)
    if len(problems) > limit:
        _say(f"... and {len(problems) - limit} more; --max_listed shows more")
    if problems:
        _say(f"DAMAGED: {directory}: {len(problems)} problem(s)")
        return EXIT_FOUND
    pyramid = open_pyramid(directory)
    sums = "" if pyramid.manifest else " (without a manifest, so without sums of the files)"
    _say(
        f"OK: {directory}: {pyramid.count} images at {len(pyramid.levels)} levels; records,"
        f" checksums, shapes and means hold{sums}"
    )
    return EXIT_OK


def show(values: flags.FlagValues, directory: str) -> None:
    """Draws a contact sheet."""
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
    images = pyramid.level(side).read(indices)
    with whole_output_file(path) as temporary:
        draw_sheet(images, captions, given["columns"]).save(temporary, "PNG")
    _say(f"{len(indices)} images of {side}x{side}: {output}")


def extract_images(values: flags.FlagValues, directory: str) -> None:
    """Writes PNG files."""
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
    _say(f"Wrote {len(indices)} images of {side}x{side} to {given['output']}{how[labels]}")


def compare(values: flags.FlagValues, first: str, second: str) -> int:
    """Compares two pyramids."""
    given = values.flag_values_dict()
    pyramids = open_pyramid(first), open_pyramid(second)
    found = list(describe_kinds(*pyramids))
    for line in found:
        _say(f"differ in {line}")
    if pyramids[0].channels != pyramids[1].channels:
        return EXIT_FOUND
    sides = _common_sides(*pyramids, given["resolution"])
    for level in compare_levels(*pyramids, sides, _workers(values)):
        side = f"{level.resolution}x{level.resolution}"
        if not level.differing:
            _say(f"{side}: all {level.compared} images are equal")
            continue
        found.append(side)
        values_compared = pyramids[0].channels * level.resolution**2 * len(level.differing)
        _say(
            f"{side}: {len(level.differing)} of {level.compared} images differ, by up to"
            f" {level.largest}, on average {level.total / values_compared:.2f} a value:"
            f" {listed(level.differing, given['max_listed'])}"
        )
        output = given["output"]
        if output and level.resolution == max(sides):
            with whole_output_file(_png_path(output)) as path:
                shown = level.differing[:_DRAWN_DIFFERENCES]
                draw_differences(*pyramids, level.resolution, shown).save(path, "PNG")
            _say(f"The first {len(shown)} of them: {output}")
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
        "The preview to write, a PNG. Default: NAME-preview.png here; --output= writes none.",
    )


def _define_check(values: flags.FlagValues) -> None:
    _integer(values, "max_listed", 20, "How many problems to list.")
    _define_workers(values)


def _define_show(values: flags.FlagValues) -> None:
    _string(values, "output", "The sheet to write, a PNG. Default: NAME-sheet.png here.")
    _define_choice(values, "Default: 64.")
    _integer(values, "columns", None, "Images in a row. Default: so that the sheet is square.")
    flags.DEFINE_boolean(
        "captions", True, "Write numbers and classes under the images.", flag_values=values
    )


def _define_extract(values: flags.FlagValues) -> None:
    _string(values, "output", "The folder to make. It appears when all is done.")
    _define_choice(values, "Default: all.")
    flags.DEFINE_enum(
        "labels",
        "auto",
        ("auto", "none", "folders", "csv"),
        f"folders: a folder for each class. csv: a table, {LABELS_NAME}. auto: csv if there are"
        " labels.",
        flag_values=values,
    )
    _define_workers(values)


def _define_compare(values: flags.FlagValues) -> None:
    _integer(values, "resolution", None, "Compare this level only. Default: all that both have.")
    _integer(values, "max_listed", 10, "How many differing images to list of each level.")
    _string(
        values, "output", "A PNG to write of the first images that differ, side by side."
    )  # fmt: skip
    _define_workers(values)


def _define_choice(values: flags.FlagValues, all_or_some: str) -> None:
    _string(values, "images", "Numbers of the images, such as 0-9,17. Default: all.")
    _string(values, "label", "Only images of this class, by its name or number.")
    _integer(values, "num_images", None, f"How many images at most. {all_or_some}")
    _integer(
        values,
        "seed",
        None,
        "Choose them at random, by this seed. Default: the first.",
    )
    _integer(values, "resolution", None, "The level. Default: the full resolution.")


def _define_workers(values: flags.FlagValues) -> None:
    _integer(values, "num_workers", None, "Processes to use. Default: one a core.")


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


def _say(line: str) -> None:
    # A class's name may hold bytes that are no text, which must not stop the command.
    sys.stdout.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


_SUB_COMMANDS = {
    "info": SubCommand(
        "what is in a pyramid: images, levels, sizes, labels; and a preview of it.",
        ("DIRECTORY",),
        _define_info,
        info,
    ),
    "verify": SubCommand(
        "checks every record's checksum, shape and pixels, that each level is the 2x2 mean of the"
        " one above, and the sums in the manifest. Exit code 1 if the pyramid is damaged.",
        ("DIRECTORY",),
        _define_check,
        check,
    ),
    "show": SubCommand(
        "draws a contact sheet: images beside each other, with their numbers and classes.",
        ("DIRECTORY",),
        _define_show,
        show,
    ),
    "extract": SubCommand(
        "writes images as PNG files, named by their numbers.",
        ("DIRECTORY",),
        _define_extract,
        extract_images,
    ),
    "compare": SubCommand(
        "compares two pyramids, image by image at every level. Exit code 1 if they differ.",
        ("DIRECTORY", "OTHER_DIRECTORY"),
        _define_compare,
        compare,
    ),
}


if __name__ == "__main__":
    sys.exit(main())
