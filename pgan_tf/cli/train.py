"""pgan-train: trains, continues a run, or estimates its time and memory."""

import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags
from absl import logging

import pgan_tf
from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.config import TrainConfig, flags
from pgan_tf.config.phases import Phase
from pgan_tf.distribution.xla_environment import set_up_xla
from pgan_tf.planning.cards import CARDS, CPU
from pgan_tf.planning.dry_run import dry_run
from pgan_tf.planning.long_run import warn_of_long_run
from pgan_tf.planning.plan import plan
from pgan_tf.planning.trial_process import Send
from pgan_tf.reporting.wandb_mirror import require_wandb
from pgan_tf.runs.run_directory import CONFIG_NAME, left_out_flags, read_config
from tfrecords_tools import command
from tfrecords_tools.errors import UserError, required
from tfrecords_tools.format.pyramid import require_pyramid
from tfrecords_tools.printable import say

NAME = "pgan-train"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see `command.run`."""
    return command.run(COMMAND, argv)


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    flags.define_train_flags(flag_values)
    absl_flags.DEFINE_boolean(
        "plan",
        False,
        "Print a table of the time and memory that the run will take, estimated by formulas, and "
        "exit. Needs no data if --resolution is given.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_boolean(
        "dry_run",
        False,
        "Run some steps of phases on the real data and devices, for minutes, print a table of the "
        "time and memory that the run will take, and exit. Writes nothing. If memory runs out, it "
        "finds the batch sizes that fit.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_integer(
        "plan_replicas",
        None,
        "Number of replicas, such as GPUs, that --plan assumes. Default: that of --logical_cpus, "
        "or of the workers in TF_CONFIG, or else 1.",
        lower_bound=1,
        flag_values=flag_values,
    )
    absl_flags.DEFINE_enum(
        "plan_device",
        "auto",
        ["auto", *CARDS, CPU],
        "Device of each replica that --plan assumes. auto: this machine's GPU if it is listed, or "
        "else v100. cpu: this machine's cores.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_float(
        "plan_tflops",
        None,
        "Speed of a replica that --plan assumes in place of --plan_device: 10^12 floating-point "
        "operations a second that are reached in practice.",
        flag_values=flag_values,
    )


def _train(flag_values: absl_flags.FlagValues) -> int:
    command.require_utf8(flag_values)
    given = flag_values.flag_values_dict()
    run_dir = given["run_dir"]
    if not given["plan"]:
        set_up_xla(given["xla_cache_dir"])  # before anything imports TensorFlow
    base = _base_config(run_dir, given)
    for name in left_out_flags(run_dir) if run_dir else ():
        if not flag_values[name].present:
            logging.warning(
                "%s: --%s is not taken from a run directory; give it again on the command line",
                Path(run_dir) / CONFIG_NAME,
                name,
            )
    config = flags.config_from_flags(flag_values, base)
    if not given["plan"]:
        remembers_data = not flag_values["data_dir"].present
        _require_directories(config, given["dry_run"], remembers_data=remembers_data)
    if given["plan"] and given["dry_run"]:
        raise UserError("--plan and --dry_run exclude each other; give one of them")
    if "://" in config.data.data_dir:
        with quiet_tensorflow():
            import tensorflow  # noqa: F401 (reads from URLs)
    if given["dry_run"]:
        dry_run(config, _try_phases)
        return command.EXIT_OK
    if given["plan"]:
        say(*_plan(given, config).split("\n"))
        return command.EXIT_OK

    if config.run.wandb:
        require_wandb()
    warn_of_long_run(config)
    # TensorFlow takes seconds to import: first the flags must be right.
    with quiet_tensorflow():
        from pgan_tf.training.loop import train

    result = train(config)
    again = f"{NAME} --run_dir={shlex.quote(run_dir)}"
    if result.interrupted_by is None:
        schedule = config.schedule
        more = schedule.total_kimg + (schedule.stabilize_kimg or schedule.total_kimg)
        say(
            f"finished at {result.images_seen / 1000:.10g} kimg; images and networks are in "
            f"{run_dir}. To go on: {again} --total_kimg={more:.10g}"
        )
        return command.EXIT_OK
    say(
        f"stopped by {result.interrupted_by.name} at {result.images_seen / 1000:.1f} kimg, "
        f"and saved. To continue: {again}"
    )
    return 128 + result.interrupted_by


def _require_directories(config: TrainConfig, dry_run: bool, *, remembers_data: bool) -> None:
    """Refuse a command line without data or a run directory, before TensorFlow is imported.

    Args:
      config: the run's.
      dry_run: whether no run directory is needed.
      remembers_data: whether the data's directory is known from an earlier run alone.

    Raises:
      UserError: one is missing.
    """
    run_dir = config.run.run_dir
    if not config.data.data_dir and run_dir:
        state = "holds no run to continue" if os.path.isdir(run_dir) else "does not exist"
        raise UserError(
            f"--run_dir={run_dir} {state}. If the run is in another directory, name that; a new "
            "run needs --data_dir"
        )
    try:
        require_pyramid(required(config.data.data_dir, "data_dir", NAME))
    except UserError as error:
        if config.data.data_dir and remembers_data:
            raise UserError(f"{error}. If the run's data has moved, give --data_dir") from error
        raise
    if not dry_run:
        required(run_dir, "run_dir", NAME)


def _base_config(run_dir: str, given: Mapping[str, Any]) -> TrainConfig | None:
    """Return the values of flags that are not given: of the run to continue or to begin with."""
    if run_dir and (config := read_config(run_dir)):
        return config
    if not given["init_from"]:
        return None
    with quiet_tensorflow():
        from pgan_tf.training.fine_tuning import initial_config

    return initial_config(
        given["init_from"], given["resolution"], use_labels=given["use_labels"] is not False
    )


def _try_phases(config: TrainConfig, phases: list[Phase], send: Send) -> None:
    with quiet_tensorflow():
        from pgan_tf.planning.trial import try_phases

    try_phases(config, phases, send)


def _plan(given: Mapping[str, Any], config: TrainConfig) -> str:
    device, tflops = given["plan_device"], given["plan_tflops"]
    if tflops is not None and not 0 < tflops < math.inf:
        raise UserError(f"--plan_tflops must be above 0. Received: {tflops}")
    if tflops is not None and device != "auto":
        raise UserError("--plan_device and --plan_tflops exclude each other; give one of them")
    return plan(config, replicas=given["plan_replicas"], device=device, tflops=tflops)


COMMAND = command.Command(
    NAME,
    command.Help(
        description="trains a progressive GAN on a pyramid, or continues a run.",
        example="pgan-train --flagfile=configs/demo.flags --data_dir=data/shapes "
        "--run_dir=runs/shapes",
        most_used=(
            *("data_dir", "run_dir", "resolution", "mirror_augment"),
            *("batch_size", "stabilize_kimg", "fade_kimg", "total_kimg"),
            *("precision", "eval_metrics", "plan", "dry_run"),
        ),
        sections=(
            *flags.train_sections(),
            command.Section(
                "planning",
                "time and memory of a run before it starts",
                ("plan", "dry_run", "plan_replicas", "plan_device", "plan_tflops"),
            ),
        ),
    ),
    _define_flags,
    _train,
    flagfiles=Path(pgan_tf.__file__).parent / "configs",
    typed=("eval_features", "xla_cache_dir"),
)


if __name__ == "__main__":
    sys.exit(main())
