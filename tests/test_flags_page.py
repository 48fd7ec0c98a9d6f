"""Flags on pages: docs/reference/flags.md lists all of them, and no command names another."""

import configparser
import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from pgan_tf.cli import evaluate, export, generate, import_legacy, project, train
from pgan_tf.config import TrainConfig
from tfrecords_tools.cli import inspect, prepare

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "flags.md"
COMMANDS = {
    module.COMMAND.name: module.COMMAND
    for module in (train, generate, project, evaluate, export, import_legacy, prepare)
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


def check_flags(documented, command):
    values = command.new_flags()
    expected = {name: values[name] for name in values if name != "help"}
    assert documented.keys() == expected.keys()
    for name, (_, default, said) in documented.items():
        flag = expected[name]
        value = (flag.default_as_str or "").strip("'").removesuffix(".0")
        assert not value or default == value, name
        for choice in getattr(flag.parser, "enum_values", None) or ():
            assert f"`{choice}`" in said or choice == default, (name, choice)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_lists_every_flag_with_its_default_and_choices(command):
    check_flags(rows(part(PAGE.read_text(), f"## {command}")), COMMANDS[command])


@pytest.mark.parametrize("name", inspect.COMMANDS.commands)
def test_the_page_lists_every_flag_of_each_command_of_a_group(name):
    text = part(part(PAGE.read_text(), f"## {inspect.NAME}"), f"### {name}")
    check_flags(rows(text), inspect.COMMANDS.commands[name])


def test_the_page_lists_what_every_command_understands():
    head = PAGE.read_text().partition("\n## ")[0]
    for flag in ("-h", "--help", "--version", "--completion", "--flagfile"):
        assert re.search(rf"`{flag}\b", head), flag


def test_no_command_is_without_a_test_of_its_flags():
    scripts = configparser.ConfigParser()
    scripts.read(ROOT / "setup.cfg")
    listed = scripts["options.entry_points"]["console_scripts"].strip().splitlines()
    assert {line.split("=")[0].strip() for line in listed} == {*COMMANDS, inspect.NAME}


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


def command_lines():
    """Every command of the project on a page, as words, with the page it is on."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text().replace("\\\n", " ")
        fenced = re.findall(r"^```\n(.*?)^```$", text, re.M | re.S)
        indented = re.findall(r"^    (pgan-.*)$", text, re.M)
        for line in [*indented, *"\n".join(fenced).splitlines()]:
            if line.startswith("pgan-") and not line.startswith("pgan-train: error"):
                yield page.name, shlex.split(line, comments=True)


def test_commands_on_pages_have_flags_that_exist():
    lines = list(command_lines())
    assert len(lines) > 60
    for page, (name, *arguments) in lines:
        if name == "pgan-inspect-tfrecords":
            known = set(inspect.COMMANDS.commands[arguments[0]].new_flags())
        else:
            known = {*COMMANDS[name].new_flags(), "flagfile"}
        for argument in arguments:
            if argument.startswith("--"):
                flag, _, value = argument[2:].partition("=")
                assert flag in known or flag.removeprefix("no") in known, f"{page}: {argument}"
                if flag == "flagfile" and value.startswith("configs/") and "NAME" not in value:
                    assert (ROOT / value).exists(), f"{page}: {argument}"
