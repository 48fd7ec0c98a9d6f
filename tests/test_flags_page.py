"""docs/reference/flags.md lists every flag of every command: name, default, choices, section."""

import dataclasses
import re
from pathlib import Path

import pytest

from pgan_tf.cli import evaluate, export, generate, import_legacy, train
from pgan_tf.config import TrainConfig
from tfrecords_tools.cli import prepare

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "flags.md"
COMMANDS = {
    module.COMMAND.name: module.COMMAND
    for module in (train, generate, evaluate, export, import_legacy, prepare)
}
FLAG = re.compile(r"`--(\w+)`( †)?(?: \((.+?)\))?(?=, `--|$)")


def part(text, heading):
    """The text below a heading, up to the next one of its level."""
    level = heading.split()[0]
    found = re.search(rf"^{heading}$(.*?)(?=^{level} |\Z)", text, re.M | re.S)
    assert found, heading
    return found[1]


def rows(text):
    """The documented flags: by name, if they are marked, their default, and their list item."""
    found = {}
    for item in re.findall(r"^- (`--.*(?:\n  .*)*)", text, re.M):
        item = " ".join(item.split())
        head = re.sub(r"(?<=[`†)]): .*", "", item)
        for name, mark, default in FLAG.findall(head):
            assert name not in found
            found[name] = (bool(mark), default, item)
    return found


def defined(command):
    values = COMMANDS[command].new_flags()
    return {name: values[name] for name in values if name != "help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_lists_every_flag_with_its_default_and_choices(command):
    documented = rows(part(PAGE.read_text(), f"## {command}"))
    expected = defined(command)
    assert documented.keys() == expected.keys()
    for name, (_, default, said) in documented.items():
        flag = expected[name]
        value = (flag.default_as_str or "").strip("'").removesuffix(".0")
        assert not value or default == value, name
        for choice in getattr(flag.parser, "enum_values", None) or ():
            assert f"`{choice}`" in said or choice == default, (name, choice)


def test_training_flags_are_in_the_sections_of_help():
    text = part(PAGE.read_text(), "## pgan-train")
    for section in COMMANDS["pgan-train"].help.sections:
        assert rows(part(text, f"### {section.name}")).keys() == set(section.flags)


def test_flags_that_a_continued_run_may_change_are_marked():
    text = part(PAGE.read_text(), "## pgan-train")
    marked = {name for name, (mark, *_) in rows(text).items() if mark}
    options = [
        field for section in dataclasses.fields(TrainConfig)
        for field in dataclasses.fields(section.type) if "help" in field.metadata
    ]  # fmt: skip
    assert marked == {field.name for field in options if field.metadata["adjustable"]}
