"""Command-line flags made from the configuration's fields, and flagfiles made from their values."""

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from absl import flags

from pgan_tf.config import TrainConfig
from pgan_tf.config.options import table_text
from tfrecords_tools.command import Section, check_numbers
from tfrecords_tools.command.flagfile import (
    flag_lines,
    is_flagfile,
    origin_of,
    origin_of_error,
    origin_of_flag,
)
from tfrecords_tools.command.resolution_flag import ResolutionParser
from tfrecords_tools.errors import UserError

# Comments in `config.flags` that name flags to be given again, and the section of such flags.
_NOT_REPEATED = "# Not repeated, give it again: "
_NOTED_SECTION = "evaluation"


def define_train_flags(flag_values: flags.FlagValues) -> None:
    """Define one flag for every option of `TrainConfig`, with its default and help."""
    for _, field in _options():
        _define(field, flag_values)


def train_sections() -> tuple[Section, ...]:
    """Return the flags of `define_train_flags` by section, for `--help`."""
    return tuple(
        Section(
            section.name,
            section.metadata["title"],
            tuple(field.name for owner, field in _options() if owner == section.name),
        )
        for section in dataclasses.fields(TrainConfig)
    )


def config_from_flags(
    flag_values: flags.FlagValues, base: TrainConfig | None = None
) -> TrainConfig:
    """Return the configuration of a command line.

    Args:
      flag_values: parsed flags of `define_train_flags`.
      base: the values of flags that were not given; None for the defaults.

    Raises:
      UserError: a value is out of range, or values contradict each other.
    """
    base = base or TrainConfig()
    try:
        sections = {}
        for section in dataclasses.fields(TrainConfig):
            given = {
                field.name: flag_values[field.name].value
                for owner, field in _options()
                if owner == section.name and flag_values[field.name].present
            }
            sections[section.name] = dataclasses.replace(getattr(base, section.name), **given)
        return TrainConfig(**sections)
    except ValueError as error:
        raise UserError(f"--{error}") from error


def with_values(config: TrainConfig, values: Mapping[str, str]) -> TrainConfig:
    """Return a configuration with other values of some flags, given as text by name.

    Raises:
      UserError: a value is out of range, or values contradict each other.
    """
    flag_values = flags.FlagValues()
    define_train_flags(flag_values)
    flag_values(["", *(f"--{name}={value}" for name, value in values.items())])
    return config_from_flags(flag_values, base=config)


def parse_flagfile(text: str, source: str) -> TrainConfig:
    """Return the configuration in a run's `config.flags`, which includes no other flagfile.

    Args:
      text: the file's content.
      source: the file's path, for errors.

    Raises:
      UserError: a line is not a flag of `pgan-train`, or names another flagfile.
    """
    flag_values = flags.FlagValues()
    define_train_flags(flag_values)
    lines = flag_lines(text, source)
    for line in lines:
        if is_flagfile(line):
            raise UserError(f"{line.origin}: must hold the run's flags itself. Received: {line}")
    try:
        rest = flag_values(["", *lines])
    except (flags.Error, ValueError) as error:  # a ValueError: --noflag=value
        where = origin_of_error(error, lines, _parsed_alone) or f"{source}: "
        raise UserError(f"{where}{error}") from error
    if rest[1:]:
        where = origin_of(rest[1])
        raise UserError(f"{where}each line must be a flag, --name=value. Received: {rest[1]}")
    for _, field in _options():
        check_numbers(field.name, flag_values[field.name].value)
        # A run from elsewhere must not choose code to execute.
        if not field.metadata["remembered"] and flag_values[field.name].present:
            flag_values[field.name].unparse()
    try:
        return config_from_flags(flag_values)
    except UserError as error:
        where = origin_of_flag(str(error), lines) or f"{source}: "
        raise UserError(f"{where}{error}") from error


def _parsed_alone(line: str) -> None:
    flag_values = flags.FlagValues()
    define_train_flags(flag_values)
    flag_values(["", line])


def to_flagfile(config: TrainConfig) -> str:
    """Return the text of a flagfile with the value of every flag that a run remembers.

    The run's metrics may depend on flags that it must not remember: comments name those.
    """
    lines = ["# Repeats this run: pgan-train --flagfile=THIS_FILE --run_dir=ANOTHER"]
    for section, field in _options():
        value = getattr(getattr(config, section), field.name)
        if value is None or value == {} or value == "":
            continue
        if field.metadata["remembered"]:
            lines.append(f"--{field.name}={_to_text(value)}")
        elif section == _NOTED_SECTION:
            lines.append(f"{_NOT_REPEATED}--{field.name}")
    return "\n".join(lines) + "\n"


def left_out(text: str) -> list[str]:
    """Return the names of flags in a run's `config.flags` that are not taken from it.

    Args:
      text: the file's content, of any version.
    """
    names = {field.name for _, field in _options() if not field.metadata["remembered"]}
    lines = (line.strip().removeprefix(_NOT_REPEATED) for line in text.splitlines())
    found = (line.lstrip("-").partition("=")[0] for line in lines if line.startswith("-"))
    return [name for name in dict.fromkeys(found) if name in names]


@dataclasses.dataclass(frozen=True)
class Change:
    """A flag with another value than before.

    Attributes:
      section: its section of `TrainConfig`.
      name: without dashes.
      old: the value before, as text.
      new: the value now, as text.
    """

    section: str
    name: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"--{self.name}={self.new} (was {self.old})"


def differences(old: TrainConfig, new: TrainConfig) -> list[Change]:
    """Return the changes that a run can't be continued with."""
    found = []
    for section, field in _options():
        was, now = (getattr(getattr(c, section), field.name) for c in (old, new))
        if was != now and not field.metadata["adjustable"]:
            found.append(Change(section, field.name, _to_text(was), _to_text(now)))
    return found


def _options() -> Iterator[tuple[str, dataclasses.Field]]:
    """Yield every option with the name of its section."""
    for section in dataclasses.fields(TrainConfig):
        for field in dataclasses.fields(section.type):  # type: ignore[arg-type]
            if "help" in field.metadata:
                yield section.name, field


def _define(field: dataclasses.Field, flag_values: flags.FlagValues) -> None:
    default: Any = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    name, help_text = field.name, field.metadata["help"]
    kind = _without_none(field.type)
    if field.metadata["choices"]:
        flags.DEFINE_enum(
            name, default, field.metadata["choices"], help_text, flag_values=flag_values
        )
    elif name in ("resolution", "start_resolution"):  # of which people write width and height
        flags.DEFINE(
            ResolutionParser(),
            name,
            default,
            help_text,
            flag_values=flag_values,
            serializer=flags.ArgumentSerializer(),
        )
    elif words := _words(kind):
        flags.DEFINE(
            _NumberOrWordParser(words),
            name,
            default,
            help_text,
            flag_values=flag_values,
            serializer=flags.ArgumentSerializer(),
        )
    elif typing.get_origin(kind) is Mapping:
        parser = _TableParser(typing.get_args(kind)[1])
        flags.DEFINE(
            parser, name, default, help_text, flag_values=flag_values, serializer=_TableSerializer()
        )
    else:
        define: dict[type, Callable[..., Any]] = {
            bool: flags.DEFINE_boolean,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }
        define[kind](name, default, help_text, flag_values=flag_values)


def _without_none(annotation: Any) -> Any:
    arguments = [a for a in typing.get_args(annotation) if a is not type(None)]
    is_optional = type(None) in typing.get_args(annotation)
    return arguments[0] if is_optional else annotation


def _words(annotation: Any) -> tuple[str, ...]:
    """Return the words that a field may hold in place of a number: of `int | Literal["auto"]`."""
    literals = [a for a in typing.get_args(annotation) if typing.get_origin(a) is typing.Literal]
    return tuple(word for literal in literals for word in typing.get_args(literal))


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return table_text(value)
    return str(value)


class _NumberOrWordParser(flags.ArgumentParser):
    """Parser of a whole number, or of one of a few words."""

    def __init__(self, words: tuple[str, ...]):
        """Parse `words` as themselves."""
        self.words = words
        self.syntactic_help = f"a whole number or {' or '.join(words)}"

    def parse(self, argument: Any) -> int | str:
        """Return the number or word that a text stands for."""
        if argument in self.words:
            return argument
        try:
            return int(argument)
        except ValueError:
            raise ValueError(f"expected {self.syntactic_help}. Received: {argument}") from None

    def flag_type(self) -> str:
        """Return absl's name for the type of the flag."""
        return "number or word"


class _TableParser(flags.ArgumentParser):
    """Parser of a table by resolution: `4:128,8:64` is {4: 128, 8: 64}."""

    def __init__(self, entry_type: type):
        """Parse entries, the values of the table, as `entry_type`: int or float."""
        self.entry_type = entry_type
        self.syntactic_help = "resolution:value pairs, separated by commas"

    def parse(self, argument: Any) -> dict[int, Any]:
        """Return the table that a text stands for, or a copy of a table."""
        if isinstance(argument, Mapping):
            return dict(argument)
        table: dict[int, Any] = {}
        for pair in filter(None, (part.strip() for part in argument.split(","))):
            resolution, _, entry = pair.partition(":")
            try:
                key, value = int(resolution), self.entry_type(entry)
            except ValueError:
                raise ValueError(
                    f"expected {self.syntactic_help}, such as 4:128,8:64. Received: {pair}"
                ) from None
            if key in table:
                raise ValueError(f"resolution {key} is given twice")
            table[key] = value
        return table

    def flag_type(self) -> str:
        """Return absl's name for the type of the flag."""
        return "resolution table"


class _TableSerializer(flags.ArgumentSerializer):
    """Writer of the texts that `_TableParser` reads."""

    def serialize(self, value: Mapping[int, Any]) -> str:
        """Return the text of a table."""
        return _to_text(value)
