"""pgan-train: trains, or continues a run."""

from collections.abc import Sequence

from absl import flags as absl_flags

from pgan_tf import flags
from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.fine_tuning import config_to_begin_with
from pgan_tf.run_directory import read_config
from tfrecords_tools import command

NAME = "pgan-train"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; see `tfrecords_tools.command.run` for what it returns."""
    return command.run(
        NAME,
        "trains a progressive GAN on a pyramid, or continues a run directory.",
        argv,
        flags.define_train_flags,
        _train,
    )


def _train(flag_values: absl_flags.FlagValues) -> int:
    run_dir = flag_values["run_dir"].value
    base = read_config(run_dir) if run_dir else None
    if base is None and flag_values["init_from"].value:
        base = config_to_begin_with(flag_values["init_from"].value, flag_values["resolution"].value)
    config = flags.config_from_flags(flag_values, base)

    # TensorFlow takes seconds to import: only once the flags are known to be right.
    with quiet_tensorflow():
        from pgan_tf.loop import train

    result = train(config)
    if result.interrupted_by is None:
        print(f"done. Pictures and networks are in {run_dir}")
        return command.EXIT_OK
    print(
        f"stopped by {result.interrupted_by.name} at {result.images_seen / 1000:.1f} kimg, "
        f"and saved. To continue: {NAME} --run_dir={run_dir}"
    )
    return 128 + result.interrupted_by
