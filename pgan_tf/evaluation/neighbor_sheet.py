"""The sheet of neighbors: fakes, and other images, beside the training images nearest to them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pgan_tf.evaluation.image_sets import ImageSet
from pgan_tf.evaluation.images import FakeImages
from pgan_tf.evaluation.neighbors import Found, FoundBySpace, NeighborFinder, NeighborReport
from pgan_tf.evaluation.reduced_images import area_means, reduced
from pgan_tf.runs.grids import save_png
from tfrecords_tools.pictures import over_white

# Longer sides: of larger images they are reduced to the one, of smaller ones enlarged to the other.
_MOST_SIDE, _LEAST_SIDE = 128, 80
_NEAREST_OF_EACH = 3  # images that are nearest in a space
_FIRST = 4  # images as they come
_GAP, _SPACE_GAP, _COLUMN_GAP = 3, 12, 36
_TEXT_SIZE, _LINE = 11, 14
_PAPER, _INK, _PALE = (255, 255, 255), (30, 30, 30), (120, 120, 120)

CAVEAT = (
    "No proof of privacy: copies of parts, or with other colors, poses or sizes, may lie farther "
    "away than this shows."
)


@dataclasses.dataclass(frozen=True)
class _Set:
    """Fakes, or the images that they are compared with.

    Attributes:
      title: of a column of the sheet.
      found: the neighbors of all of its images.
      images_at: numbers of images `[k]` to the images `[k h w c]` uint8.
      caption: the number of an image to the lines of text below it.
    """

    title: str
    found: FoundBySpace
    images_at: Callable[[np.ndarray], np.ndarray]
    caption: Callable[[int], list[str]]


def sheet_path(directory: Path, label: str) -> Path:
    """Return the path of the sheet of a generator."""
    return directory / f"neighbors-{label}.png"


def write_sheet(
    path: Path, finder: NeighborFinder, report: NeighborReport, fakes: FakeImages, *, title: str
) -> None:
    """Draw the fakes, and the others, that are nearest to training images, and some as they come.

    Args:
      path: of the PNG file, written whole or not at all.
      finder: knows the training images.
      report: the neighbors that it has found.
      fakes: the images of the generator, or of a stored set.
      title: the generator's name.
    """
    split, reals = finder.split, finder.reals
    shown = reduced(reals.images, lambda size: max(size) <= _MOST_SIDE)

    def read(numbers: np.ndarray) -> np.ndarray:
        return reals.seen(shown.read(numbers))

    sets = (
        _Set(
            "fakes",
            report.fakes,
            lambda numbers: over_white(area_means(fakes.at(numbers), shown.size[0])),
            lambda number: [
                fakes.name(number),
                _label_line(reals.images, fakes.labels_of(number, 1)),
            ],
        ),
        _Set(
            "held-out images" if split.held_out else "training images, without themselves",
            report.others,
            lambda numbers: read(split.others[numbers]),
            lambda number: _record_lines(reals.images, int(split.others[number])),
        ),
    )
    columns = [_draw_set(each, reals.images, read) for each in sets]
    header = _draw_lines(_header(finder, report, title), sum(c.width for c in columns))
    width = max(header.width, sum(c.width for c in columns) + _COLUMN_GAP) + 2 * _GAP
    bottom = header.height + max(column.height for column in columns)
    whole = Image.new("RGB", (width, bottom), _PAPER)
    whole.paste(header, (_GAP, 0))
    left = _GAP
    for column in columns:
        whole.paste(column, (left, header.height))
        left += column.width + _COLUMN_GAP
    save_png(path, np.asarray(whole))


def _header(finder: NeighborFinder, report: NeighborReport, title: str) -> list[str]:
    split = finder.split
    mirrored = " and their mirror images" if finder.reals.mirror else ""
    others = (
        f"{len(split.others)} held-out images, which were not trained on"
        if split.held_out
        else f"{len(split.others)} training images, each with its nearest other one, because no "
        "images are held out (--validation_images)"
    )
    lines = [
        f"{title}: nearest of {len(split.trained)} training images{mirrored}, by pixels and by "
        f"{list(report.fakes)[1]}",
        f"{finder.num_images} fakes, compared with {others}",
    ]
    for space, found in report.fakes.items():
        values = {
            name.rpartition("/")[2]: value
            for name, value in report.values.items()
            if name.split("/")[1] == space
        }
        ratio = f"ratio of medians {values['ratio']:.2f}; " if "ratio" in values else ""
        lines.append(
            f"{space}: fakes {_quantiles(found)}; the others {_quantiles(report.others[space])}; "
            f"{ratio}as near as the nearest 1 % of the others: {values['below_1_percent']:.1%} of "
            f"fakes; as near as any: {values['below_all']:.1%}"
        )
    return [*lines, CAVEAT]


def _quantiles(found: Found) -> str:
    low, middle = np.quantile(found.distances, [0.01, 0.5])
    return f"nearest {found.distances.min():.3g}, 1 % {low:.3g}, median {middle:.3g}"


def _draw_set(
    images: _Set, data: ImageSet, read: Callable[[np.ndarray], np.ndarray]
) -> Image.Image:
    """Draw the images of a set that are nearest in each space, then the first."""
    parts = []
    for space, found in images.found.items():
        nearest = np.argsort(found.distances, kind="stable")[:_NEAREST_OF_EACH]
        parts.append((f"{images.title}, nearest by {space}", nearest))
    count = len(next(iter(images.found.values())).distances)
    parts.append((f"{images.title}, the first", np.arange(min(_FIRST, count))))
    # A generator draws whole batches, so that one image takes as long as many.
    chosen = np.unique(np.concatenate([numbers for _, numbers in parts]))
    pictures = dict(zip(chosen.tolist(), images.images_at(chosen), strict=True))
    strips = []
    for heading, numbers in parts:
        rows = [_draw_row(images, n, pictures[n], data, read) for n in numbers.tolist()]
        strips += [_draw_lines([heading], rows[0].width), *rows]
    return _stacked(strips)


def _draw_row(
    images: _Set,
    number: int,
    image: np.ndarray,
    data: ImageSet,
    read: Callable[[np.ndarray], np.ndarray],
) -> Image.Image:
    """Draw an image `[h w c]` uint8, and its neighbors in each space."""
    tiles = [_tile(image, [*images.caption(number), ""])]
    gaps = [0]
    for space, found in images.found.items():
        records, distances = (array[number] for array in found.neighbors)
        pictures = read(records)
        for place, record in enumerate(records):
            mirrored = bool(found.mirrored[number, place])
            picture = pictures[place, :, ::-1] if mirrored else pictures[place]
            name, kind = _record_lines(data, int(record))
            lines = [f"{name} mirrored" if mirrored else name, kind]
            tiles.append(_tile(picture, [*lines, f"{space} {distances[place]:.3g}"]))
            gaps.append(_GAP if place else _SPACE_GAP)
    row = Image.new("RGB", (sum(gaps) + sum(t.width for t in tiles), tiles[0].height), _PAPER)
    left = 0
    for gap, tile in zip(gaps, tiles, strict=True):
        row.paste(tile, (left + gap, 0))
        left += gap + tile.width
    return row


def _tile(image: np.ndarray, lines: Sequence[str]) -> Image.Image:
    """Draw an image `[h w c]` uint8 above lines of text, each cut to its width."""
    gray = image.shape[2] == 1
    picture = Image.fromarray(image[:, :, 0] if gray else np.ascontiguousarray(image))
    factor = -(-_LEAST_SIDE // max(picture.size))
    picture = picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )
    width = max(picture.width, _LEAST_SIDE)  # of a narrow image, for the text
    tile = Image.new("RGB", (width, picture.height + len(lines) * _LINE + _GAP), _PAPER)
    tile.paste(picture, (0, 0))
    pen, font = ImageDraw.Draw(tile), _font()
    for number, line in enumerate(lines):
        color = _PALE if number else _INK
        top = picture.height + number * _LINE
        pen.text((1, top), _fitted(line, font, width), color, font)
    return tile


def _draw_lines(lines: Sequence[str], width: int) -> Image.Image:
    """Draw lines of text, each broken where it is wider."""
    font = _font()
    broken: list[str] = []
    for line in lines:
        broken.append("")
        for word in line.split(" "):
            longer = f"{broken[-1]} {word}".strip()
            if broken[-1] and font.getbbox(_latin(longer))[2] > width - 2 * _GAP:
                broken.append(word)
            else:
                broken[-1] = longer
    strip = Image.new("RGB", (width, len(broken) * _LINE + 2 * _GAP), _PAPER)
    pen = ImageDraw.Draw(strip)
    for number, line in enumerate(broken):
        pen.text((1, _GAP + number * _LINE), _latin(line), _INK, font)
    return strip


def _stacked(strips: Sequence[Image.Image]) -> Image.Image:
    size = max(strip.width for strip in strips), sum(strip.height for strip in strips)
    whole = Image.new("RGB", size, _PAPER)
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    return whole


def _record_lines(data: ImageSet, number: int) -> list[str]:
    """Return an image's name, and its class or an empty text."""
    labels = data.labels_of(np.array([number])) if data.label_size else None
    return [data.name(number), _label_line(data, labels)]


def _label_line(data: ImageSet, labels: np.ndarray | None) -> str:
    """Return the name of the class in labels `[1 n]`; empty for a label that is none."""
    if labels is None:
        return ""
    column = int(np.argmax(labels[0]))
    if not np.array_equal(labels[0], np.eye(len(labels[0]))[column]):
        return ""
    return data.label_names[column] if data.label_names else f"class {column}"


@functools.cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(_TEXT_SIZE)


def _fitted(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    text = _latin(text)
    while text and font.getbbox(text)[2] > width:
        text = text[:-1]
    return text


def _latin(text: str) -> str:
    # Pillow's font has no other characters.
    return text.encode("latin-1", "replace").decode("latin-1")
