"""The pages under docs/ hold together: links, images, the index, and the paths that code names."""

import os
import re
from pathlib import Path

import pytest

from tfrecords_tools.sources.registry import SOURCES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
FOLDERS_WITH_CODE = ("pgan_tf", "tfrecords_tools", "benchmarks", "examples", "configs", "tests")


def without_code(text):
    """A page's text without code blocks and code spans."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    text = re.sub(r"^    .*$", "", text, flags=re.M)
    return re.sub(r"`[^`\n]*`", "code", text)


def links(page):
    """The targets of a page's links and images, addresses on the web left out."""
    targets = re.findall(r"\]\(([^)]+)\)", without_code(page.read_text()))
    return [target for target in targets if "://" not in target]


def anchors(page):
    """The fragments by which a page's headings are linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in links(page):
        path, _, fragment = target.partition("#")
        file = Path(os.path.normpath(page.parent / path)) if path else page
        assert file.exists(), target
        assert not fragment or fragment in anchors(file), target


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "README.md"], ids=name)
def test_a_page_says_first_whose_question_it_answers(page):
    title, first, *_ = page.read_text().split("\n\n")
    assert re.fullmatch("# .+", title)
    assert re.match(r"For [^?]+: [^:]+\?", " ".join(first.split()))


def test_files_that_pages_name_exist():
    names = {path.name for folder in FOLDERS_WITH_CODE for path in (ROOT / folder).rglob("*.py")}
    for page in PAGES:
        for span in re.findall(r"`([\w/]+\.py)`", page.read_text()):
            assert Path(span).name in names, f"{name(page)} names {span}"


def test_the_index_lists_every_page():
    listed = {
        os.path.normpath(DOCS / target.partition("#")[0]) for target in links(DOCS / "README.md")
    }
    pages = {str(page) for page in DOCS.rglob("*.md")} - {str(DOCS / "README.md")}
    assert pages <= listed


def test_every_image_is_shown():
    shown = {os.path.normpath(page.parent / target) for page in PAGES for target in links(page)}
    assert {str(image) for image in DOCS.rglob("*.png")} <= shown


def test_pages_that_code_names_exist():
    for folder in FOLDERS_WITH_CODE:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".flags"):
                for page in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text()):
                    assert (ROOT / page).exists(), f"{path} names {page}"


def test_every_source_has_a_section_in_the_order_of_the_code():
    headings = re.findall(r"^## (.+)$", (DOCS / "reference" / "sources.md").read_text(), re.M)
    assert [name for heading in headings for name in heading.split(", ")] == list(SOURCES)
