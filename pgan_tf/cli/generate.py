"""pgan-generate: pictures from a trained generator."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from pgan_tf.cli.quiet import quiet_tensorflow
from tfrecords_tools import command
from tfrecords_tools.errors import UserError

NAME = "pgan-generate"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; see `tfrecords_tools.command.run` for what it returns."""
    return command.run(
        NAME,
        "draws images from a run's newest EMA generator, or from a .keras file.",
        argv,
        _define_flags,
        _generate,
    )


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    absl_flags.DEFINE_string(
        "network", None, "A run directory or a .keras file. Required.", flag_values=flag_values
    )
    absl_flags.DEFINE_string(
        "output",
        None,
        "Where the PNGs go: a directory, made if it is new. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_integer(
        "num_images", 64, "How many images.", lower_bound=1, flag_values=flag_values
    )
    absl_flags.DEFINE_integer(
        "seed",
        0,
        "Another seed, other images. The first N images of a seed are the same for every N.",
        lower_bound=0,
        flag_values=flag_values,
    )
    absl_flags.DEFINE_list(
        "classes",
        [],
        "Only these classes of a labelled network, by name or number, comma-separated, in turn. "
        "Default: all of them.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_boolean("grid", True, "Also write grid.png.", flag_values=flag_values)
    absl_flags.DEFINE_integer(
        "batch_size", 16, "Images at a time.", lower_bound=1, flag_values=flag_values
    )
    absl_flags.DEFINE_boolean(
        "overwrite", False, "Write into a directory that holds files.", flag_values=flag_values
    )


def _generate(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("network", "output"):
        if not flags[name]:
            raise UserError(f"--{name} is required. See {NAME} --help")
    output = Path(flags["output"])
    if output.exists() and not output.is_dir():
        raise UserError(f"--output must be a directory. Received: {output}, a file")
    if output.is_dir() and any(output.iterdir()) and not flags["overwrite"]:
        raise UserError(f"--output={output} holds files already; name another, or give --overwrite")

    with quiet_tensorflow():
        from pgan_tf.generation import generate_pngs
    written = generate_pngs(
        flags["network"],
        output,
        num_images=flags["num_images"],
        seed=flags["seed"],
        classes=flags["classes"],
        grid=flags["grid"],
        batch_size=flags["batch_size"],
    )
    print(f"{written} images in {output}" + (f", {output / 'grid.png'}" if flags["grid"] else ""))
    return command.EXIT_OK
