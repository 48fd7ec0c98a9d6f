"""The help of every command: complete, in sections, fast."""

import os
import re
import subprocess
import sys

import pytest
from absl import flags

from pgan_tf.cli import evaluate, export, generate, import_legacy, project, train
from tfrecords_tools.cli import inspect, prepare
from tfrecords_tools.command import run, run_one_of

COMMANDS = {
    command.name: command
    for command in (
        train.COMMAND,
        generate.COMMAND,
        evaluate.COMMAND,
        export.COMMAND,
        import_legacy.COMMAND,
        project.COMMAND,
        prepare.COMMAND,
        *inspect.COMMANDS.commands.values(),
    )
}
MODULES = (
    *("pgan_tf.cli.train", "pgan_tf.cli.generate", "pgan_tf.cli.evaluate", "pgan_tf.cli.export"),
    "pgan_tf.cli.project",
    *("pgan_tf.cli.import_legacy", "tfrecords_tools.cli.prepare", "tfrecords_tools.cli.inspect"),
)


@pytest.fixture(params=COMMANDS)
def command(request):
    return COMMANDS[request.param]


def printed(command, capsys, argument):
    assert run(command, [argument]) == 0
    return capsys.readouterr().out


def flags_in(text):
    return set(re.findall(r"^  --(?:\[no\])?(\w+)", text, flags=re.MULTILINE))


def test_every_flag_is_in_a_section(command, capsys):
    names = {name for name in command.new_flags() if name != "help"}
    sections = [section.name for section in command.help.sections]
    shown = [flags_in(printed(command, capsys, f"--help={name}")) for name in sections or ["all"]]
    assert set().union(*shown) == names
    assert flags_in(printed(command, capsys, "--help=all")) == names


def test_the_overview_names_every_section_and_describes_the_flags_that_people_use_first(
    command, capsys
):
    text = printed(command, capsys, "--help")
    for section in command.help.sections:
        assert re.search(rf"^  {section.name}  +\S", text, flags=re.MULTILINE), section.name
    if command.help.sections:
        assert flags_in(text) == {*command.help.most_used}
        assert 5 <= len(command.help.most_used) <= 12
    assert printed(command, capsys, "-help") == text


def test_the_example_is_a_command_line_that_its_flags_understand(command):
    example = command.help.example.split()
    words = command.name.split()
    assert example[: len(words)] == words
    given = [a for a in example[len(words) :] if not a.startswith("--flagfile=")]
    assert len(command.new_flags()(["", *given])) == 1 + len(command.arguments)


def test_every_flag_says_what_it_is(command):
    flag_values = command.new_flags()
    for name in flag_values:
        text = flag_values[name].help
        if isinstance(flag_values[name], flags.EnumClassFlag | flags.EnumFlag):
            text = text.partition(">: ")[2]
        assert len(text) > 10 and text.endswith("."), name
        assert not re.match(r"(Its|It|Them|They|This|Of|How|What|Whether|When|Where)\b", text), name


def test_the_group_describes_each_of_its_commands(capsys):
    for name, command in inspect.COMMANDS.commands.items():
        assert run_one_of(inspect.COMMANDS, [f"--help={name}"]) == 0
        assert capsys.readouterr().out == printed(command, capsys, "--help")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_the_command_and_its_help_comes_without_tensorflow(module):
    check = f"""
import runpy, sys
sys.argv[1:] = ["--help"]
try:
    runpy.run_module("{module}", run_name="__main__")
except SystemExit as end:
    assert end.code == 0
assert "tensorflow" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("pgan-") and "Example:\n  pgan-" in result.stdout


@pytest.mark.parametrize("module", MODULES)
def test_a_terminal_that_knows_ascii_only_is_enough(module):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    for arguments, code in ((["--help=all"], 0), (["--köln=日本\udcff"], 2), (["köln"], 2)):
        ended = subprocess.run(
            [sys.executable, "-m", module, *arguments], env=environment, capture_output=True
        )
        assert ended.returncode == code, ended.stderr
        assert (ended.stdout + ended.stderr).isascii()
