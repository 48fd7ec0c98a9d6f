"""The journal of an unfinished pyramid."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.files import JOURNAL_NAME
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.sources.images import open_images
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.writing.conversion import SkippedImage, WrittenChunk
from tfrecords_tools.writing.journal import Journal, has_identity, identity_of
from tfrecords_tools.writing.layout import Layout

FIRST = WrittenChunk(0, 0, 3, ())
SECOND = WrittenChunk(1, 3, 1, (SkippedImage(7, "bad.png", "is damaged"),))


def test_an_identity_is_that_of_earlier_versions(tmp_path, monkeypatch):
    """Digests of the first version with a journal: what it began can still be continued."""
    monkeypatch.chdir(tmp_path)
    for name, gray in (("a/1.png", 7), ("b/2.png", 9)):
        path = Path("photos") / name
        path.parent.mkdir(parents=True)
        Image.new("L", (8, 8), gray).save(path)
    Path("photos/notes.txt").touch()
    photos = open_images(Path("photos"), ImagePolicy(0, 0), True, 1, False, lambda line: None)
    layout = Layout("x", 2, 1, 8, "png", 2)
    assert identity_of(photos, layout, np.array([1, 0]), True, "local") == (
        "cc032ba1d4072d6ef075dfbf4a22e22f59565762419094653471d0cc094ea72a"
    )
    shapes = SyntheticSource(5, 8, 3, True)
    assert identity_of(shapes, Layout("shapes", 5, 3, 8), np.arange(5), False, "beam") == (
        "efd7f150e7b219f28c6877044657117cb07693ce6798002c3e7a97f8ab1f2cf4"
    )


def test_a_journal_of_an_earlier_version_is_read(tmp_path):
    lines = ['{"identity": "x"}', '[1, 3, 1, [[7, "bad.png", "is damaged"]]]', "[0, 0, 3, []]"]
    (tmp_path / JOURNAL_NAME).write_text("\n".join([*lines, "[2, 4,"]))
    with Journal(tmp_path, "x") as journal:
        assert journal.done() == [FIRST, SECOND]


def test_written_chunks_are_found_again_in_order(tmp_path):
    with Journal(tmp_path, "x") as journal:
        assert journal.done() == []
        journal.add(SECOND)
        journal.add(FIRST)
    with Journal(tmp_path, "x") as journal:
        assert journal.done() == [FIRST, SECOND]
        journal.begin_again([FIRST])
        assert journal.done() == [FIRST]
    assert has_identity(tmp_path, "x") and not has_identity(tmp_path, "y")


@pytest.mark.parametrize(("chunks", "expected"), [((FIRST,), [FIRST]), ((FIRST, SECOND), [])])
def test_after_records_may_have_moved_chunks_count_only_if_none_was_skipped(
    tmp_path, chunks, expected
):
    with Journal(tmp_path, "x") as journal:
        for chunk in chunks:
            journal.add(chunk)
        journal.add_finishing()
        assert journal.done() == expected
