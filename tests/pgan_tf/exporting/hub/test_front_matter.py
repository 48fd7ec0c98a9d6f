import html
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pgan_tf.exporting.hub.card import escape
from pgan_tf.exporting.hub.front_matter import LICENSES, license_fields, metadata, scalar, to_yaml
from tfrecords_tools.printable import printable

# Anything that a class, a data set or a title may be called, line ends and bytes that are no UTF-8
# among them.
TEXTS = st.text() | st.text("ab:#-*_`[]()<>&|!~$=+.{}'\"\\ \n0123", max_size=12)
ODD = [
    "yes",
    "No",
    "null",
    "~",
    "1e3",
    "0x1f",
    "- a",
    "a: b",
    "#",
    "\ud800x",
    "\U0001f457",
    "12. a",
]


@given(TEXTS)
def test_any_text_is_read_from_yaml_as_it_was(text):
    text = text.encode("utf-8", "replace").decode()
    assert yaml.safe_load(f"key: {scalar(text)}\n") == {"key": text}
    assert yaml.safe_load(f"- {scalar(text)}\n") == [text]


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_stay_texts(text):
    read = yaml.safe_load(f"key: {scalar(text)}\n")["key"]
    assert read == (text if text.isprintable() else "\\ud800x")


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**40), 2**40))
def test_any_number_is_read_from_yaml_as_it_was(number):
    assert yaml.safe_load(f"key: {scalar(number)}\n") == {"key": number}


def test_nested_fields_are_read_as_they_were():
    fields = metadata(
        license_text="mit",
        conditional=True,
        title="A: b",
        values={"x # y": [("swd/16", 1e-05), ("swd", 2.0)], "z": [("fid", 3)]},
    )
    assert yaml.safe_load(to_yaml(fields).strip("-\n")) == fields
    assert [r["dataset"] for r in fields["model-index"][0]["results"]] == [
        {"type": "x-y", "name": "x # y"},
        {"type": "z", "name": "z"},
    ]


def shown(markdown, tag):
    rendered = MarkdownIt().enable("table").render(markdown)
    found = re.fullmatch(rf"<{tag}>(.*)</{tag}>\n", rendered, re.S)
    assert found, rendered
    assert "<" not in found[1]
    return html.unescape(found[1])


@given(TEXTS | st.sampled_from(ODD))
def test_any_text_is_shown_as_it_was(text):
    expected = printable(" ".join(text.split()))
    if expected:
        assert shown(escape(text), "p") == expected
        assert shown(f"# {escape(text)}", "h1") == expected


@given(TEXTS)
def test_any_text_stays_in_its_cell(text):
    table = f"| a | b |\n| --- | --- |\n| {escape(text)} | 2 |\n"
    cells = re.findall("<td>(.*?)</td>", MarkdownIt().enable("table").render(table), re.S)
    assert list(map(html.unescape, cells)) == [printable(" ".join(text.split())), "2"]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        (" CC-BY-4.0 ", {"license": "cc-by-4.0"}),
        ("openrail++", {"license": "openrail++"}),
        ("My Licence 1.0", {"license": "other", "license_name": "my-licence-1.0"}),
        ("...", {"license": "other", "license_name": "..."}),
        (
            "https://example.org/L",
            {
                "license": "other",
                "license_name": "other",
                "license_link": "https://example.org/L",
            },
        ),
    ],
)
def test_a_license_is_one_of_the_hub_or_another(text, fields):
    assert license_fields(text) == fields


def test_licenses_are_identifiers():
    assert len(LICENSES) > 60
    assert all(re.fullmatch(r"[a-z0-9.+-]+", name) for name in LICENSES)
