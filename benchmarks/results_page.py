"""Pages of results of which a benchmark writes a section."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from tfrecords_tools.files import whole_file


def section_marks(script: str) -> tuple[str, str]:
    """Return the two comments between which a benchmark's section lies."""
    begin, end = (f"<!-- written by benchmarks/{script}: {word} -->" for word in ("begin", "end"))
    return begin, end


def write_section(page: Path, lines: Sequence[str], *, script: str, title: str) -> None:
    """Replace the section of a page by lines; create the page if there is none.

    Raises:
      SystemExit: the page lacks the comments, or has them twice.
    """
    begin, end = section_marks(script)
    text = "\n".join([begin, *lines, end])
    before = page.read_text() if page.exists() else f"# {title}\n\n{begin}{end}\n"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    after, count = re.subn(pattern, lambda _: text, before, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{page}: {begin} and {end} must be there once. Found: {count}")
    with whole_file(page) as temporary:
        temporary.write_text(after)


def spread(values: Sequence[float]) -> str:
    """Return the mean over seeds, followed by each seed's value if there are several."""
    if not values:
        return "failed"
    form = "{:.3f}" if max(values) < 1 else "{:.1f}"
    mean = form.format(statistics.mean(values))
    if len(values) == 1:
        return mean
    return f"{mean} ({', '.join(form.format(value) for value in values)})"
