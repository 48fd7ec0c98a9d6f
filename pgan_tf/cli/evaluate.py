"""pgan-evaluate: computes metrics of saved generators, and of sets of images."""

import os
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from pgan_tf.cli.devices import define_ema_length, define_tf32, ready_devices
from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.config import EVALUATE_METRICS
from pgan_tf.evaluation.kinds import EXPECTED, kind_of_data, kind_of_network
from pgan_tf.evaluation.sizes import parse_resolution
from pgan_tf.runs.hub import is_on_hub
from pgan_tf.runs.run_directory import require_network
from tfrecords_tools import command
from tfrecords_tools.errors import UserError, required
from tfrecords_tools.printable import say

NAME = "pgan-evaluate"
# Their spread is then known to under a percent; more would only take time and memory.
_MOST_REPLICATES = 10_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see `command.run`."""
    return command.run(COMMAND, argv)


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    def string(name: str, help_text: str) -> None:
        absl_flags.DEFINE_string(name, "", help_text, flag_values=flag_values)

    def boolean(name: str, default: bool | None, help_text: str) -> None:
        absl_flags.DEFINE_boolean(name, default, help_text, flag_values=flag_values)

    def integer(
        name: str, default: int | None, help_text: str, least: int, most: int | None = None
    ) -> None:
        absl_flags.DEFINE_integer(
            name,
            default,
            help_text,
            lower_bound=least,
            upper_bound=most,
            flag_values=flag_values,
        )

    string(
        "network",
        "A run directory, whose newest generator is evaluated, a .keras file, or hf://user/name on "
        "Hugging Face's hub. Or images: a folder, an archive (.zip, .tar, .tar.gz) or a pyramid. "
        "Required.",
    )
    string(
        "data_dir",
        "The images to compare with: a pyramid, or a folder or archive of images. Default: the "
        "pyramid that the run was trained on; required for anything else.",
    )
    absl_flags.DEFINE_string(
        "resolution",
        "auto",
        "Size at which images are compared. auto: the size that both sides have; a number N for "
        "NxN, or WIDTHxHEIGHT, crops and scales the images of folders and archives to it, as "
        "pgan-prepare-tfrecords does.",
        flag_values=flag_values,
    )
    boolean(
        "skip_bad_images",
        False,
        "Leave out image files that are damaged or too small, instead of stopping.",
    )
    absl_flags.DEFINE_list(
        "metrics",
        ["swd", "ms_ssim"],
        f"Metrics to compute, separated by commas: any of {', '.join(EVALUATE_METRICS)}.",
        flag_values=flag_values,
    )
    integer(
        "num_images",
        None,
        "Number of images to compare. Default: the number that published values of each metric "
        "are computed from, or all of the data if it has fewer. If there are fewer reals than "
        "that, all metrics but swd compare them with the full number of fakes.",
        1,
    )
    integer("seed", 0, "Seed of the latents, of the choice of reals, and of the metrics' own "
            "random numbers.", 0)  # fmt: skip
    boolean(
        "all_snapshots",
        False,
        "Evaluate every generator that the run has saved, and draw the curves as metrics.png.",
    )
    string(
        "output",
        "The directory for the results. Default: the run directory, or the directory that holds "
        "the .keras file, the archive, or the folder of images.",
    )
    boolean(
        "mirror_augment",
        None,
        "Mirror reals at random. Default: as in the run's training; off for a .keras file outside "
        "of a run.",
    )
    boolean(
        "floor",
        True,
        "Also compare reals with other reals, which shows the best values that can be reached.",
    )
    integer(
        "bootstrap",
        20,
        "Number of times that fakes are resampled to find the spread of each value: its standard "
        "deviation over other fakes of the generator. 0: no spread.",
        0,
        _MOST_REPLICATES,
    )
    boolean(
        "reuse",
        True,
        "Reuse results that were written for the same network under the same settings.",
    )
    boolean("cache", True, "Keep the features of the reals, to reuse them in later evaluations.")
    string(
        "cache_dir",
        "The directory for the kept features. Default: evaluation/ in the default of --output.",
    )
    integer(
        "batch_size",
        None,
        "Number of images that a replica generates at a time. Default: chosen by the resolution.",
        1,
    )
    absl_flags.DEFINE_enum(
        "distribution",
        "auto",
        ("auto", "one_device", "mirrored"),
        "Devices to generate on, as in pgan-train.",
        flag_values=flag_values,
    )
    integer(
        "logical_cpus", 0, "Split the CPU into this many logical devices; 0: do not split it.", 0
    )
    define_ema_length(flag_values)
    define_tf32(flag_values)
    string(
        "inception",
        "The file with the Inception graph for fid, is, kid and the other metrics of features: "
        "inception-2015-12-05.tgz, or the .pb file in it. Default: downloaded once. If given, also "
        "for neighbors.",
    )
    string("digit_classifier", "A .keras file that classifies digits, for --metrics=modes; see "
           "docs/reference/metrics.md.")  # fmt: skip
    absl_flags.DEFINE_enum(
        "resize",
        "legacy",
        ("legacy", "clean"),
        "Resizing of images for Inception: legacy, by its own graph, as for most published "
        "values; or clean, by antialiased bicubic filters before it. See "
        "docs/reference/comparability.md.",
        flag_values=flag_values,
    )
    string(
        "features",
        "Your own function that computes features in place of Inception's, as module:function "
        "or FILE.py:function; or dinov2. See docs/reference/metrics.md.",
    )
    string(
        "dinov2",
        "The folder of a keras_hub preset, or a .keras file, with the DINOv2 network of "
        "--features=dinov2. Default: downloaded once.",
    )


def _evaluate(flag_values: absl_flags.FlagValues) -> int:
    command.require_utf8(flag_values)
    flags = flag_values.flag_values_dict()
    required(flags["network"], "network", NAME)
    if flags["bootstrap"] == 1:
        raise UserError("--bootstrap must be 0, for no spread, or at least 2. Received: 1")
    parse_resolution(flags["resolution"])
    if is_on_hub(flags["network"]):
        # Beside the network is the cache of the hub's client.
        if not flags["output"]:
            raise UserError(
                f"--output is required: a directory for the results of {flags['network']}"
            )
        flags["cache_dir"] = flags["cache_dir"] or os.path.join(flags["output"], "evaluation")
    flags["network"] = str(require_network(flags["network"], EXPECTED))
    if flags["data_dir"]:
        kind_of_data(flags["data_dir"])
    kind_of_network(flags["network"])

    devices = ready_devices(
        tf32=flags["tf32"],
        advice="give a smaller --batch_size",
        logical_cpus=flags["logical_cpus"],
    )
    with devices:
        with quiet_tensorflow():
            from pgan_tf.evaluation.evaluate import EvaluateOptions, evaluate
            from pgan_tf.evaluation.tables import table
        names = EvaluateOptions.__dataclass_fields__
        evaluation = evaluate(EvaluateOptions(**{name: flags[name] for name in names}))
    say(evaluation.summary)
    say(*table(evaluation.results).split("\n"))
    say(f"written: {_shortened([str(path) for path in evaluation.written])}")
    return command.EXIT_OK


def _shortened(paths: Sequence[str]) -> str:
    """Return a list of files; of more than four, the first and the last two."""
    return ", ".join(paths if len(paths) <= 4 else [paths[0], "...", *paths[-2:]])


COMMAND = command.Command(
    NAME,
    command.Help(
        description="compares the images of a generator, or any others, with the data, by the "
        "metrics of docs/reference/metrics.md.",
        example="pgan-evaluate --network=runs/faces --metrics=swd,ms_ssim",
        most_used=("network", "data_dir", "metrics", "num_images", "all_snapshots", "output"),
        sections=(
            command.Section(
                "comparison",
                "the network, the images and the metrics",
                (
                    *("network", "data_dir", "metrics", "num_images", "seed", "mirror_augment"),
                    *("all_snapshots", "ema_length", "floor", "bootstrap", "resolution"),
                    "skip_bad_images",
                ),
            ),
            command.Section(
                "results",
                "where results are written, and what is reused",
                ("output", "reuse", "cache", "cache_dir"),
            ),
            command.Section(
                "features",
                "networks that compute the features of images",
                ("inception", "resize", "features", "dinov2", "digit_classifier"),
            ),
            command.Section(
                "devices",
                "devices and batches",
                ("batch_size", "distribution", "logical_cpus", "tf32"),
            ),
        ),
    ),
    _define_flags,
    _evaluate,
    typed=("features",),
)


if __name__ == "__main__":
    sys.exit(main())
