"""docs/reference/flags.md lists every flag of every command: name, default, choices, section."""

import dataclasses
import re
from pathlib import Path

import pytest
from absl import flags

from pgan_tf.cli import evaluate, export, generate, import_legacy, train
from pgan_tf.config import TrainConfig
from tfrecords_tools.cli import prepare

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "flags.md"
COMMANDS = {
    "pgan-train": train._define_flags,
    "pgan-generate": generate._define_flags,
    "pgan-evaluate": evaluate._define_flags,
    "pgan-export": export._define_flags,
    "pgan-import": import_legacy._define_flags,
    "pgan-prepare-tfrecords": prepare.define_flags,
}
# Of `pgan-train`: the configuration's sections, and what the command adds.
OPTIONS = {
    section.name: {f.name: f for f in dataclasses.fields(section.type) if "help" in f.metadata}
    for section in dataclasses.fields(TrainConfig)
}
PLANNING = {"plan", "dry_run", "plan_replicas", "plan_tflops"}
ROW = re.compile(r"^- `--(\w+)`( †)?(?: \((.+?)\))?: (.+)$", re.M)


def part(text, heading):
    """The text below a heading, up to the next one of its level."""
    level = heading.split()[0]
    found = re.search(rf"^{heading}$(.*?)(?=^{level} |\Z)", text, re.M | re.S)
    assert found, heading
    return found[1]


def rows(text):
    """The documented flags: by name, if they are marked, their default, and what is said."""
    found = ROW.findall(text)
    assert len({name for name, *_ in found}) == len(found)
    return {name: (bool(mark), default, said) for name, mark, default, said in found}


def defined(command):
    values = flags.FlagValues()
    COMMANDS[command](values)
    return {name: values[name] for name in values}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_lists_every_flag_with_its_default_and_choices(command):
    documented = rows(part(PAGE.read_text(), f"## {command}"))
    expected = defined(command)
    assert documented.keys() == expected.keys()
    for name, (_, default, said) in documented.items():
        flag = expected[name]
        value = (flag.default_as_str or "").strip("'")
        assert not value or default == value, name
        for choice in getattr(flag.parser, "enum_values", None) or ():
            assert f"`{choice}`" in said or choice == default, (name, choice)


def test_sections_of_training_flags_are_those_of_the_configuration():
    text = part(PAGE.read_text(), "## pgan-train")
    for section, options in OPTIONS.items():
        assert rows(part(text, f"### {section}")).keys() == options.keys()
    assert rows(part(text, "### planning")).keys() == PLANNING


def test_flags_that_a_continued_run_may_change_are_marked():
    text = part(PAGE.read_text(), "## pgan-train")
    marked = {name for name, (mark, *_) in rows(text).items() if mark}
    adjustable = {
        name for section in OPTIONS.values() for name in section
        if section[name].metadata["adjustable"]
    }  # fmt: skip
    assert marked == adjustable
