"""pgan-import: converts network files of the original implementation."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from pgan_tf.cli.quiet import quiet_tensorflow
from tfrecords_tools import command
from tfrecords_tools.errors import required
from tfrecords_tools.printable import say
from tfrecords_tools.progress import working

NAME = "pgan-import"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see `command.run`."""
    return command.run(COMMAND, argv)


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    absl_flags.DEFINE_string(
        "input",
        None,
        "The network file (.pkl) of the original implementation. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_string(
        "output",
        None,
        "The directory to make, for generator.keras (the EMA generator), the raw networks, and the "
        "files that pgan-train --init_from needs. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_boolean(
        "overwrite",
        False,
        "Replace the files of an earlier import in the output directory.",
        flag_values=flag_values,
    )


def _import(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("input", "output"):
        required(flags[name], name, NAME)

    with quiet_tensorflow():
        from pgan_tf.legacy.importing import import_networks
    source, output = Path(flags["input"]), Path(flags["output"])
    with working("importing"):
        imported = import_networks(source, output, overwrite=flags["overwrite"])

    config, side, final = imported.config, imported.resolution, imported.config.final_resolution
    labels = f", {config.label_size} labels" if config.label_size else ""
    say(
        f"{source}: {imported.version} version, {final}x{final}, {config.channels} channel(s), "
        f"latents of {config.resolved_latent_size}{labels}"
    )
    if side < final or imported.alpha is not None:
        fading = "" if imported.alpha is None else f", faded in to alpha {imported.alpha:.3f}"
        say(f"saved while training at {side}x{side}{fading}: written at that resolution")
    for file, network in imported.files.items():
        say(f"{network} -> {output / file}")
    if imported.no_run:
        say(f"no run can begin with these networks: {imported.no_run}")
    else:
        network = shlex.quote(str(output))
        say(f"to continue training: pgan-train --init_from={network} --data_dir=... --run_dir=...")
    return command.EXIT_OK


COMMAND = command.Command(
    NAME,
    command.Help(
        description="converts network files of the original implementation, of its TensorFlow or "
        "Theano version, without running any code in them.",
        example="pgan-import --input=karras2018iclr-celebahq-1024x1024.pkl --output=imported/",
    ),
    _define_flags,
    _import,
)


if __name__ == "__main__":
    sys.exit(main())
