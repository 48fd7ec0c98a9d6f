"""pgan-import: networks of the original implementation as ours."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from pgan_tf.cli.quiet import quiet_tensorflow
from tfrecords_tools import command
from tfrecords_tools.errors import required

NAME = "pgan-import"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; see `tfrecords_tools.command.run` for what it returns."""
    return command.run(
        NAME,
        "reads network files of the original implementation, TensorFlow or Theano version, without "
        "running anything in them.",
        argv,
        _define_flags,
        _import,
    )


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    absl_flags.DEFINE_string(
        "input", None, "The original's network file (.pkl). Required.", flag_values=flag_values
    )
    absl_flags.DEFINE_string(
        "output",
        None,
        "A new directory, for generator.keras, the raw networks, and what pgan-train --init_from "
        "needs. Required.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_boolean(
        "overwrite", False, "Replace what an import wrote there before.", flag_values=flag_values
    )


def _import(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("input", "output"):
        required(flags[name], name, NAME)

    with quiet_tensorflow():
        from pgan_tf.legacy.importing import import_networks
    source, output = Path(flags["input"]), Path(flags["output"])
    imported = import_networks(source, output, overwrite=flags["overwrite"])

    config, side, final = imported.config, imported.resolution, imported.config.final_resolution
    labels = f", {config.label_size} labels" if config.label_size else ""
    print(
        f"{source}: {imported.version} version, {final}x{final}, {config.channels} channel(s), "
        f"latents of {config.resolved_latent_size}{labels}"
    )
    if side < final or imported.alpha is not None:
        fading = "" if imported.alpha is None else f", faded in to alpha {imported.alpha:.3f}"
        print(f"saved while it was trained at {side}x{side}{fading}: written at that resolution")
    for file, network in imported.files.items():
        print(f"{network} -> {output / file}")
    if imported.no_run:
        print(f"no run can begin with them: {imported.no_run}")
    else:
        print(f"to train on: pgan-train --init_from={output} --data_dir=... --run_dir=...")
    return command.EXIT_OK
