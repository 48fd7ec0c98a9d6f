"""Flags of pgan-prepare-tfrecords about its output: the storage, and the machines that write it."""

import shlex
from collections.abc import Mapping
from typing import Any

from absl import flags

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.manifest import ENCODINGS
from tfrecords_tools.format.names import MAX_SHARDS
from tfrecords_tools.writing.beam_output import pipeline_options

OUTPUT_FLAGS = frozenset({"encoding", "shards", "resume", "runner", "beam_options"})
# Flags that change no byte of the pyramid.
WORK_FLAGS = frozenset({"resume", "runner", "beam_options"})


def define_output_flags(values: flags.FlagValues) -> None:
    """Define the flags."""
    flags.DEFINE_enum(
        "encoding",
        "raw",
        ENCODINGS,
        "raw: pixels, as the original implementation reads them. png: lossless compression, for"
        " data sets that would fill the disk; read by pgan-train, not by the original.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "shards",
        1,
        "Number of files of each level, with equal numbers of images. More than 1 are read by"
        " pgan-train, not by the original.",
        lower_bound=1,
        upper_bound=MAX_SHARDS,
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "resume",
        False,
        "Continue where an interrupted run of the same command stopped, after checking what it"
        " wrote; and keep what is done if this run is interrupted.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "runner",
        "local",
        ("local", "beam"),
        "local: the cores of this machine. beam: an Apache Beam pipeline that writes the same"
        " bytes, with a task for each shard; input and output must have the same paths on all"
        " machines. Needs pip install 'pgan_tf[beam]'.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "beam_options",
        None,
        "Options of the Beam pipeline, as on a command line: '--runner=FlinkRunner"
        " --flink_master=host:8081'. Default: Beam's direct runner, in this process.",
        flag_values=values,
    )


def beam_options(given: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the options of the Beam pipeline that does the work; None for this machine.

    Raises:
      UserError: `--beam_options` without `--runner=beam`, options that Beam does not know, or Beam
        is not installed.
    """
    text = given["beam_options"]
    if given["runner"] == "local":
        if text is not None:
            raise UserError(f"--beam_options needs --runner=beam. Received: {text}")
        return None

    try:
        options = tuple(shlex.split(text or ""))
    except ValueError as error:
        raise UserError(f"--beam_options: {error}. Received: {text}") from error
    pipeline_options(options)
    return options
