"""The declaration of a source: name, flags as plain data, and the function that opens it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tfrecords_tools.sources.base import Source


def _unchanged(value: Any) -> Any:
    return value


@dataclasses.dataclass(frozen=True)
class FlagSpec:
    """One flag of a source, as plain data.

    Several sources may have a flag of one name. They agree on `kind`, `default`, `help` and
    `minimum`, because the command has a single flag; the other attributes are each source's own.

    Attributes:
      name: the flag without its dashes.
      kind: the type of its value; a choice is one of several strings.
      default: its value when it is not given: bool, int, str or None.
      help: sentences that hold for every source with this flag.
      note: words for `--help` that hold for this source alone, without a full stop.
      choices: the values that this source accepts, of a choice.
      minimum: the lowest value, of an integer.
      required: True if this source cannot do without it.
      parse: converts the value as given (or the default) into what the source is opened with.
        Raises UserError for a value that is wrong.
      recorded_default: False for a flag that is younger than the source: manifests name it only
        where it is not the default, so that the same command makes the same bytes in all versions.
    """

    name: str
    kind: Literal["boolean", "choice", "integer", "string"]
    default: Any
    help: str
    note: str = ""
    choices: tuple[str, ...] = ()
    minimum: int = 1
    required: bool = False
    parse: Callable[[Any], Any] = _unchanged
    recorded_default: bool = True


@dataclasses.dataclass(frozen=True)
class SourceRequest:
    """The user's request to one source. `request["crop"]` is the parsed value of `--crop`.

    Attributes:
      source: the value of `--source`.
      values: parsed values of the source's flags, by name.
      num_images: number of images wanted; None for all.
      num_workers: processes that may be used to look at the input.
      say: called with lines for the user.
    """

    source: str
    values: Mapping[str, Any]
    num_images: int | None
    num_workers: int
    say: Callable[[str], None]

    def __getitem__(self, flag: str) -> Any:
        return self.values[flag]


@dataclasses.dataclass(frozen=True)
class SourceSpec:
    """One source, declared.

    Attributes:
      name: the value of `--source`, or the word before the colon in it.
      description: a few words for `--help`.
      flags: the flags it understands. All other flags of sources are refused, not ignored.
      open: opens it. Raises UserError if a flag or the input is wrong.
      argument: the words that follow the name and a colon in `--source`, as help shows them; empty
        if `--source` is the name alone.
      extra: the project's extra that installs a library it needs; None if it needs none.
      default_num_images: number of images of a source that can make any number; None if the
        input decides it.
      in_memory: True if every process decodes the whole input at once, so that one process is
        fastest.
    """

    name: str
    description: str
    flags: tuple[FlagSpec, ...]
    open: Callable[[SourceRequest], Source]
    argument: str = ""
    extra: str | None = None
    default_num_images: int | None = None
    in_memory: bool = False

    @property
    def shown(self) -> str:
        """The value of `--source` as help shows it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def flag_names(self) -> frozenset[str]:
        """Names of its flags."""
        return frozenset(flag.name for flag in self.flags)
