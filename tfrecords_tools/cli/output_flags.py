"""Flags of pgan-prepare-tfrecords about its output: how it is stored, and who does the work."""

import shlex
from collections.abc import Mapping
from typing import Any

from absl import flags

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.manifest import ENCODINGS
from tfrecords_tools.format.names import MAX_SHARDS

OUTPUT_FLAGS = frozenset({"encoding", "shards", "resume", "runner", "beam_options"})
# Those that change no byte of the pyramid.
WORK_FLAGS = frozenset({"resume", "runner", "beam_options"})


def define_output_flags(values: flags.FlagValues) -> None:
    """Defines the flags."""
    flags.DEFINE_enum(
        "encoding",
        "raw",
        ENCODINGS,
        "raw: as the original implementation reads it. png: compressed without loss, for data sets"
        " that would fill the disk; read by pgan-train, not by the original.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "shards",
        1,
        "Files of each level, of equal numbers of images. More than 1 is read by pgan-train, not by"
        " the original.",
        lower_bound=1,
        upper_bound=MAX_SHARDS,
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "resume",
        False,
        "Go on where an interrupted run of the same command stopped, after checking what it wrote;"
        " and keep what is done if this run is interrupted.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "runner",
        "local",
        ("local", "beam"),
        "local: the cores of this machine. beam: an Apache Beam pipeline that writes the same"
        " bytes, one shard a task; input and output must be reached by the same paths everywhere."
        " Needs pip install 'pgan_tf[beam]'.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "beam_options",
        None,
        "Options of the pipeline, as on a command line: '--runner=FlinkRunner"
        " --flink_master=host:8081'. Default: Beam's direct runner, in this process.",
        flag_values=values,
    )


def beam_options(given: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Options of the pipeline that is to do the work; None for this machine.

    Raises:
      UserError: options without a pipeline, or a pipeline without Beam.
    """
    text = given["beam_options"]
    if given["runner"] == "local":
        if text is not None:
            raise UserError(f"--beam_options needs --runner=beam. Received: {text}")
        return None
    from tfrecords_tools.writing.beam import pipeline_options  # an extra, so imported only here

    try:
        options = tuple(shlex.split(text or ""))
    except ValueError as error:
        raise UserError(f"--beam_options: {error}. Received: {text}") from error
    pipeline_options(options)
    return options
