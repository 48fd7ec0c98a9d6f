"""Flags of pgan-prepare-tfrecords about its source, made from the specs of all sources."""

from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.base import Source
from tfrecords_tools.sources.registry import SOURCES, flags_by_source, is_source
from tfrecords_tools.sources.spec import FlagSpec, SourceRequest, SourceSpec


class _SourceParser(flags.EnumParser):
    """Parser of `--source`: the name of a source, and a colon and more where it takes that."""

    def __init__(self) -> None:
        super().__init__([spec.shown for spec in SOURCES.values()])

    def parse(self, argument: str) -> str:
        """Return the value as it was given, if it names a source."""
        if is_source(argument):
            return argument
        return super().parse(argument)


def define_source_flags(values: flags.FlagValues) -> None:
    """Define `--source` and every flag of every source."""
    flags.DEFINE(_SourceParser(), "source", None, _help_of_sources(), flag_values=values)
    for by_source in flags_by_source().values():
        _define_flag(by_source, values)


def check_source_flags(spec: SourceSpec, values: flags.FlagValues) -> None:
    """Refuse flags that belong to other sources alone, and values that this source does not take.

    Raises:
      UserError: names the flag.
    """
    source = values["source"].value
    for other in SOURCES.values():
        for name in sorted(other.flag_names - spec.flag_names):
            if values[name].present:
                raise UserError(f"--{name} has no meaning for --source={source}; leave it out")
    for flag in spec.flags:
        value = values[flag.name].value
        if flag.choices and value not in flag.choices:
            allowed = " or ".join(flag.choices)
            raise UserError(
                f"--{flag.name} must be {allowed} for --source={source}. Received: {value}"
            )
    for flag in spec.flags:
        if flag.required and not values[flag.name].value:
            raise UserError(f"--{flag.name} is required for --source={source}")


def open_source(
    spec: SourceSpec, given: Mapping[str, Any], num_workers: int, say: Callable[[str], None]
) -> Source:
    """Open the source that the flags describe.

    Args:
      spec: the source.
      given: the values of all flags, after `check_source_flags`.
      num_workers: processes that may be used to look at the input.
      say: called with lines for the user.

    Raises:
      UserError: a flag or the input is wrong.
    """
    request = SourceRequest(
        source=given["source"],
        values={flag.name: flag.parse(given[flag.name]) for flag in spec.flags},
        num_images=given["num_images"],
        num_workers=num_workers,
        say=say,
    )
    return spec.open(request)


def _define_flag(by_source: Mapping[str, FlagSpec], values: flags.FlagValues) -> None:
    """Define one flag for all sources that have it, given its spec by source name."""
    flag = next(iter(by_source.values()))
    text = _help_of_flag(by_source)
    if flag.kind == "boolean":
        flags.DEFINE_boolean(flag.name, flag.default, text, flag_values=values)
    elif flag.kind == "integer":
        flags.DEFINE_integer(
            flag.name, flag.default, text, lower_bound=flag.minimum, flag_values=values
        )
    elif flag.kind == "choice":
        # A dictionary keeps each choice once, in order.
        choices = dict.fromkeys(choice for spec in by_source.values() for choice in spec.choices)
        flags.DEFINE_enum(flag.name, flag.default, list(choices), text, flag_values=values)
    else:
        flags.DEFINE_string(flag.name, flag.default, text, flag_values=values)


def _help_of_flag(by_source: Mapping[str, FlagSpec]) -> str:
    """Return the help that sources share, each note with its sources, and the flag's sources."""
    sources_by_note: dict[str, list[str]] = {}
    for name, spec in by_source.items():
        if spec.note:
            sources_by_note.setdefault(spec.note, []).append(name)
    sentences = [next(iter(by_source.values())).help]
    sentences += [f"{', '.join(names)}: {note}." for note, names in sources_by_note.items()]
    if not sources_by_note or sum(map(len, sources_by_note.values())) < len(by_source):
        sentences.append(f"Sources: {', '.join(by_source)}.")
    return " ".join(sentences)


def _help_of_sources() -> str:
    """Return the help of `--source`: a line for each source."""
    descriptions = []
    for spec in SOURCES.values():
        extra = f" (needs pip install 'pgan_tf[{spec.extra}]')" if spec.extra else ""
        descriptions.append(f"{spec.name}: {spec.description}{extra}")
    return "; ".join(descriptions) + "."
