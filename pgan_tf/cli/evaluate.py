"""pgan-evaluate: how good a generator is, by several metrics."""

from collections.abc import Sequence

from absl import flags as absl_flags

from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.config import METRICS
from tfrecords_tools import command
from tfrecords_tools.errors import required

NAME = "pgan-evaluate"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; see `tfrecords_tools.command.run` for what it returns."""
    return command.run(
        NAME,
        "compares a generator's images with the data, by the metrics of docs/reference/metrics.md.",
        argv,
        _define_flags,
        _evaluate,
    )


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    def string(name: str, help_text: str) -> None:
        absl_flags.DEFINE_string(name, "", help_text, flag_values=flag_values)

    def boolean(name: str, default: bool | None, help_text: str) -> None:
        absl_flags.DEFINE_boolean(name, default, help_text, flag_values=flag_values)

    def integer(name: str, default: int | None, help_text: str, least: int) -> None:
        absl_flags.DEFINE_integer(
            name, default, help_text, lower_bound=least, flag_values=flag_values
        )

    string("network", "A run directory (its newest generator), or a .keras file. Required.")
    string("data_dir", "The pyramid to compare with. Default: what the run was trained on.")
    absl_flags.DEFINE_list(
        "metrics",
        ["swd", "ms_ssim"],
        f"Comma-separated, of {', '.join(METRICS)}.",
        flag_values=flag_values,
    )
    integer(
        "num_images",
        None,
        "How many images to compare. Default: as many as published figures of each metric are "
        "computed of, or all of the data where it has fewer. More fakes than there are reals are "
        "compared with all of them, except by swd.",
        1,
    )
    integer("seed", 0, "Of latents, of the choice of reals, and of what metrics draw.", 0)
    boolean(
        "all_snapshots",
        False,
        "Evaluate every generator the run has saved, and draw the curves as metrics.png.",
    )
    string("output", "The directory for results. Default: the run's, or the file's.")
    boolean(
        "mirror_augment",
        None,
        "Mirror reals at random. Default: as the run did; a lone .keras file's are not mirrored.",
    )
    boolean("floor", True, "Also compare reals with other reals: the best that can be reached.")
    boolean(
        "reuse",
        True,
        "Take figures that were written before, of the same network under the same settings.",
    )
    boolean("cache", True, "Keep what was measured of the reals, for the next time.")
    string("cache_dir", "Where that is kept. Default: evaluation/ in the run directory.")
    integer("batch_size", None, "Images a replica generates at a time.", 1)
    absl_flags.DEFINE_enum(
        "distribution",
        "auto",
        ("auto", "one_device", "mirrored"),
        "Devices, as of pgan-train.",
        flag_values=flag_values,
    )
    integer("logical_cpus", 0, "Split the CPU into this many logical devices.", 0)
    string(
        "inception",
        "The Inception graph that fid, is, kid and precision_recall take features from: "
        "inception-2015-12-05.tgz or the .pb in it. Default: downloaded once.",
    )
    string(
        "digit_classifier",
        "A .keras file that reads digits, for modes; see docs/reference/metrics.md.",
    )
    string(
        "features",
        "Features of one's own instead, as module:function; see docs/reference/metrics.md.",
    )


def _evaluate(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    required(flags["network"], "network", NAME)

    with quiet_tensorflow():
        from pgan_tf.evaluation.evaluate import EvaluateOptions, evaluate
        from pgan_tf.evaluation.results import table
    names = EvaluateOptions.__dataclass_fields__
    evaluation = evaluate(EvaluateOptions(**{name: flags[name] for name in names}))
    print(evaluation.summary)
    print(table(evaluation.results))
    print(f"written: {_shortened([str(path) for path in evaluation.written])}")
    return command.EXIT_OK


def _shortened(paths: Sequence[str]) -> str:
    """Many files as the first of them and the last two."""
    return ", ".join(paths if len(paths) <= 4 else [paths[0], "...", *paths[-2:]])
