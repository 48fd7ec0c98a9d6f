"""An overview of a pyramid: a page of text and a picture."""

import json
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tfrecords_tools.format import Pyramid
from tfrecords_tools.format.names import index_path
from tfrecords_tools.inspection.selection import caption, class_name
from tfrecords_tools.inspection.sheet import draw_sheet, enlarge, stack
from tfrecords_tools.writing.disk import readable_bytes

_PREVIEW_COLUMNS, _PREVIEW_ROWS = 8, 6
# The preview shows the largest level whose shorter side is at most this long.
_PREVIEW_SIDE = 128
_BLOCK_ROWS = 1 << 16
_BAR = 30
_MAX_CLASSES = 100


def describe(pyramid: Pyramid) -> Iterator[str]:
    """Describe a pyramid, in the lines of a page."""
    yield f"{pyramid.directory}: pyramid {pyramid.name}"
    yield f"  images    {pyramid.count}, {pyramid.level(pyramid.resolution).image.text}"
    yield f"  stored    {pyramid.encoding}, {pyramid.shards} file(s) a level"
    yield from _describe_manifest(pyramid)
    yield "  level       files           bytes   bytes an image"
    total = 0
    for level in reversed(pyramid.levels):
        size_on_disk = 0
        for file in level.files:
            for path in (file.path, index_path(file.path)):
                size_on_disk += path.stat().st_size if path.exists() else 0
        total += size_on_disk
        side = level.size_text
        an_image = size_on_disk / pyramid.count
        yield f"  {side:<11} {len(level.files):5} {size_on_disk:15} {an_image:16.1f}"
    yield f"  all levels        {total:15} {total / pyramid.count:16.1f}  ({readable_bytes(total)})"
    yield from _describe_labels(pyramid)


def draw_preview(pyramid: Pyramid) -> Image.Image:
    """Draw images from all over the pyramid, and below them one image at every level."""
    level = max(
        (level for level in pyramid.levels if min(level.shape[1:]) <= _PREVIEW_SIDE),
        key=lambda level: level.resolution,
    )
    wanted = min(pyramid.count, _PREVIEW_COLUMNS * _PREVIEW_ROWS)
    indices = np.linspace(0, pyramid.count - 1, wanted).astype(np.int64)
    captions = [caption(pyramid, int(index)) for index in indices]
    grid = draw_sheet(level.read(indices), captions, _PREVIEW_COLUMNS)
    lower = [other for other in pyramid.levels if other.resolution <= level.resolution]
    shown = [(other, level.resolution // other.resolution) for other in reversed(lower)]
    first = indices[:1]
    levels = np.concatenate([enlarge(other.read(first), factor) for other, factor in shown])
    names = [f"{first[0]} at {other.size_text}" for other, _ in shown]
    return stack([grid, draw_sheet(levels, names, _PREVIEW_COLUMNS)])


def _describe_manifest(pyramid: Pyramid) -> Iterator[str]:
    if pyramid.manifest is None:
        yield "  manifest  none: as the original implementation writes pyramids"
        return
    manifest = pyramid.manifest
    order = "shuffled as the original does" if manifest.get("shuffled") else "as in the source"
    yield f"  order     {order}"
    yield f"  source    {json.dumps(manifest.get('source'), ensure_ascii=False)}"
    yield f"  flags     {json.dumps(manifest.get('flags'), ensure_ascii=False)}"
    skipped = manifest.get("skipped") or []
    if skipped:
        yield f"  skipped   {len(skipped)} bad images; the first: {skipped[0]}"


def _describe_labels(pyramid: Pyramid) -> Iterator[str]:
    labels = pyramid.labels
    if labels is None:
        yield "  labels    none"
        return
    counts = np.zeros(pyramid.label_size, np.int64)
    one_hot = 0
    for start in range(0, pyramid.count, _BLOCK_ROWS):
        block = np.asarray(labels[start : start + _BLOCK_ROWS])
        counts += (block > 0).sum(axis=0)
        one_hot += int((((block == 1).sum(axis=1) == 1) & ((block != 0).sum(axis=1) == 1)).sum())
    kind = "one-hot" if one_hot == pyramid.count else "not one-hot: images above 0 in each column"
    yield f"  labels    {pyramid.label_size} classes, {kind}"
    width = max(len(class_name(pyramid, column)) for column in range(pyramid.label_size))
    for column in range(min(pyramid.label_size, _MAX_CLASSES)):
        count = int(counts[column])
        bar = "#" * round(_BAR * count / max(1, counts.max()))
        share = f"{100 * count / pyramid.count:5.1f} %"
        name = f"{class_name(pyramid, column):<{min(width, 40)}}"
        yield f"    {name} {count:9} {share}  {bar}".rstrip()
    if pyramid.label_size > _MAX_CLASSES:
        yield f"    ... and {pyramid.label_size - _MAX_CLASSES} classes more"
