"""The help of a command, made from its flags: an overview, one section, or everything."""

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from absl import flags

from tfrecords_tools.errors import UserError

ALL = "all"
_WIDTH = 96
_NO_BREAK = "\N{NO-BREAK SPACE}"  # textwrap keeps its neighbors on one line


@dataclasses.dataclass(frozen=True)
class Section:
    """A group of flags, which `--help=NAME` shows.

    Attributes:
      name: one word.
      title: what its flags are about, in a few words without a full stop.
      flags: their names, in the order of help. A flag may belong to several sections.
    """

    name: str
    title: str
    flags: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Help:
    """The parts of a command's help besides its flags.

    Attributes:
      description: begins with a verb and ends with a full stop.
      example: one complete command line.
      most_used: names of the flags that `--help` alone describes, of a command with sections.
      sections: hold every flag. A command without sections describes all its flags at once, in the
        order of their definitions.
    """

    description: str
    example: str
    most_used: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()

    def text(self, name: str, flag_values: flags.FlagValues, wanted: str = "") -> str:
        """Return the text that `--help` or `--help=WANTED` prints.

        Args:
          name: the command as the user types it, with its arguments if it has any.
          flag_values: its flags.
          wanted: the name of a section, `all`, or nothing for the overview.

        Raises:
          UserError: there is no such section.
        """
        sections = {section.name: section for section in self.sections}
        if wanted in sections:
            section = sections[wanted]
            lines = [f"{name}, flags of one section:", "", *_heading(section)]
            lines += _flag_lines(flag_values, section.flags)
        elif wanted == ALL:
            lines = [*heading(name, self.description, self.example), *self._all_flags(flag_values)]
        elif wanted:
            raise no_such_help(wanted, (*sections, ALL))
        else:
            lines = [*heading(name, self.description, self.example), *self._overview(flag_values)]
        return "\n".join(lines) + "\n"

    def _overview(self, flag_values: flags.FlagValues) -> Iterator[str]:
        if not self.sections:
            yield from self._all_flags(flag_values)
            return
        yield "Most used flags:"
        yield from _flag_lines(flag_values, self.most_used)
        yield ""
        yield f"All flags, by section: --help=SECTION shows one section, --help={ALL} every flag."
        yield from aligned((section.name, section.title) for section in self.sections)
        yield ""
        yield from _FLAGFILES

    def _all_flags(self, flag_values: flags.FlagValues) -> Iterator[str]:
        described: set[str] = set()
        for section in self.sections:
            yield from _heading(section)
            yield from _flag_lines(flag_values, [n for n in section.flags if n not in described])
            repeated = ", ".join(f"--{n}" for n in section.flags if n in described)
            if repeated:
                yield from _filled(f"Described above: {repeated}", "  ")
            yield ""
            described.update(section.flags)
        if not self.sections:
            yield "Flags:"
            yield from _flag_lines(flag_values, [name for name in flag_values if name != "help"])
            yield ""
        yield from _FLAGFILES


# Understood by every command, besides its flags.
EVERYWHERE = [
    "-h is --help; --version prints versions; --completion=bash|zsh prints a script that makes the",
    "shell complete flags.",
]
_FLAGFILES = [
    "--flagfile=FILE reads flags from a file, one a line. Flags given after it win over the",
    "file's.",
    *EVERYWHERE,
]


def define_help(flag_values: flags.FlagValues) -> None:
    """Define `--help`, which may be given the name of a section.

    Its value is None where it was not given, "" for the overview, or what is wanted.
    """
    flags.DEFINE_flag(
        flags.Flag(_HelpParser(), None, "help", None, "Show help and exit.", boolean=True),
        flag_values,
    )


def heading(name: str, description: str, example: str) -> list[str]:
    """Return the lines that begin a command's help."""
    return [*_filled(f"{name}: {description}"), "", "Example:", f"  {example}", ""]


def no_such_help(wanted: str, known: Iterable[str]) -> UserError:
    """Return the error for `--help=WANTED` where nothing is called so."""
    return UserError(f"--help must be one of {', '.join(known)}. Received: {wanted}")


def aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return rows of two columns, wrapped."""
    listed = list(rows)
    indent = max(len(left) for left, _ in listed) + 4
    return [
        line
        for left, right in listed
        for line in textwrap.wrap(
            right,
            _WIDTH,
            initial_indent=f"  {left}".ljust(indent),
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
        )
    ]


class _HelpParser(flags.ArgumentParser):
    """Parser of `--help` (absl hands on "true"), `--help=WANTED` and `--nohelp`."""

    def parse(self, argument: str) -> str | None:
        """Return what is wanted, "" for the overview, None for no help."""
        return {"true": "", "false": None}.get(argument, argument)


def _heading(section: Section) -> list[str]:
    return _filled(f"[{section.name}] {section.title}")


def _flag_lines(flag_values: flags.FlagValues, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        flag = flag_values[name]
        yield f"  {_usage(flag)}"
        yield from _filled(f"{_text(flag)} {_default(flag)}", " " * 6)


def _usage(flag: flags.Flag) -> str:
    if flag.boolean:
        return f"--[no]{flag.name}"
    choices = getattr(flag.parser, "enum_values", None)
    return f"--{flag.name}={'|'.join(choices)}" if choices else f"--{flag.name}"


def _text(flag: flags.Flag) -> str:
    """Return a flag's help without the choices that absl puts before it."""
    choices = getattr(flag.parser, "enum_values", None)
    return flag.help.removeprefix(f"<{'|'.join(choices)}>: ") if choices else flag.help


def _default(flag: flags.Flag) -> str:
    """Return a note on a flag's default, as a user would type it; empty if there is none."""
    if flag.default is None:
        return ""
    if flag.serializer is None:  # of a boolean
        default = "true" if flag.default else "false"
    else:
        default = str(flag.serializer.serialize(flag.default)).removesuffix(".0")
    return f"(default:{_NO_BREAK}{default})" if default else ""


def _filled(text: str, indent: str = "") -> list[str]:
    lines = textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]
