"""pgan-project: finds the latents of given pictures."""

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from pgan_tf.cli.devices import define_ema_length, define_tf32, ready_devices
from pgan_tf.cli.output_directory import output_directory
from pgan_tf.cli.quiet import quiet_tensorflow
from pgan_tf.projecting.targets import Picture, PictureReader, find_pictures
from pgan_tf.runs.run_directory import require_network
from tfrecords_tools import command
from tfrecords_tools.errors import UserError, required
from tfrecords_tools.extras import require
from tfrecords_tools.printable import say

NAME = "pgan-project"
_INCEPTION = "inception"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see `command.run`."""
    return command.run(COMMAND, argv)


def _define_flags(flag_values: absl_flags.FlagValues) -> None:
    def string(name: str, help_text: str) -> None:
        absl_flags.DEFINE_string(name, "", help_text, flag_values=flag_values)

    def boolean(name: str, help_text: str) -> None:
        absl_flags.DEFINE_boolean(name, False, help_text, flag_values=flag_values)

    def integer(name: str, default: int | None, help_text: str, least: int, most: int) -> None:
        absl_flags.DEFINE_integer(
            name,
            default,
            help_text,
            lower_bound=least,
            upper_bound=most,
            flag_values=flag_values,
        )

    def number(name: str, default: float, help_text: str, least: float, most: float) -> None:
        absl_flags.DEFINE_float(
            name,
            default,
            help_text,
            lower_bound=least,
            upper_bound=most,
            flag_values=flag_values,
        )

    string(
        "network",
        "A run directory, whose newest EMA generator is taken, a .keras file, or hf://user/name. "
        "Required.",
    )
    inputs = (
        "A picture, a folder of pictures, or a .zip or .tar file; several are separated by commas, "
        "or given in flags of their own. Required."
    )
    absl_flags.DEFINE_multi_string("input", None, inputs, flag_values=flag_values)
    flag_values["input"].help = inputs  # without the line that absl adds
    string("output", "The directory for latents and their images, made if it is new. Required.")
    boolean("overwrite", "Write into a directory that holds files already.")
    boolean(
        "skip_bad_images",
        "Leave out pictures that are damaged or too large, and name them, instead of stopping.",
    )
    absl_flags.DEFINE_enum(
        "crop",
        "center",
        ("center", "pad", "stretch"),
        "Fitting of pictures of another shape than the network: center takes the middle, pad adds "
        "a white border, stretch scales both sides on their own.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_list(
        "classes",
        [],
        "Classes of a conditional network to try, by name or number, separated by commas; the best "
        "is kept. Default: all of them.",
        flag_values=flag_values,
    )
    integer("steps", 300, "Number of steps of the search.", 1, 1_000_000)
    integer(
        "starts",
        8,
        "Number of random latents to start from, all at once; the best result is kept.",
        1,
        10_000,
    )
    integer("seed", 0, "Seed of the starts.", 0, 2**63 - 1)
    number(
        "learning_rate",
        0.4,
        "Learning rate of the search: about the angle, in radians, by which a step turns latents.",
        1e-6,
        math.pi,
    )
    number("pixel_weight", 1.0, "Weight of the distance of pixels.", 0.0, 1e6)
    number("feature_weight", 1.0, "Weight of the distance of features, if there are.", 0.0, 1e6)
    string(
        "features",
        "Features to compare beside the pixels: inception, dinov2, or your own function of "
        "TensorFlow, as module:function or FILE.py:function. Default: pixels alone, or those of "
        "--inception or --dinov2 if given.",
    )
    string(
        "inception",
        "The file with the Inception graph: inception-2015-12-05.tgz, or the .pb file in it. "
        "Default: downloaded once.",
    )
    string(
        "dinov2", "The file with DINOv2's weights, as for pgan-evaluate. Default: downloaded once."
    )
    absl_flags.DEFINE_enum(
        "video",
        None,
        ("mp4", "gif", "webp"),
        "Also write a video of the way, in this format. mp4 needs pip install 'pgan_tf[video]'.",
        flag_values=flag_values,
    )
    integer(
        "batch_size",
        None,
        "Number of starts to compute at a time. Default: as many as fit into memory.",
        1,
        10_000,
    )
    define_ema_length(flag_values)
    define_tf32(flag_values)


def _project(flag_values: absl_flags.FlagValues) -> int:
    flags = flag_values.flag_values_dict()
    for name in ("network", "input", "output"):
        required(flags[name], name, NAME)
    if flags["pixel_weight"] == 0 and not (flags["feature_weight"] and _has_features(flags)):
        raise UserError(
            "--pixel_weight=0 needs --features, and a --feature_weight above 0: nothing would be "
            "compared"
        )
    flags["network"] = str(require_network(flags["network"]))
    output = Path(flags["output"])
    if flags["video"] == "mp4":
        require("imageio_ffmpeg", "video")  # before anything is searched for
    pictures = find_pictures(flags["input"])
    _check_apart(output, pictures)
    with (
        output_directory(output, overwrite=flags["overwrite"]),
        ready_devices(tf32=flags["tf32"], advice="give a smaller --batch_size"),
    ):
        _project_all(flags, pictures, output)
    return command.EXIT_OK


def _has_features(flags: dict[str, Any]) -> bool:
    return bool(flags["features"] or flags["inception"] or flags["dinov2"])


def _check_apart(output: Path, pictures: Sequence[Picture]) -> None:
    """Refuse to write among the pictures, of which some might be replaced.

    Raises:
      UserError: a picture is in the output directory.
    """
    for picture in pictures:
        root = picture.files.root
        path = root / picture.files.names[picture.index] if root.is_dir() else root
        if path.resolve().parent == output.resolve():
            raise UserError(
                f"--output={output} holds {path.name}, which is a picture of --input; name another "
                "directory"
            )


def _project_all(flags: dict[str, Any], pictures: list[Picture], output: Path) -> None:
    with quiet_tensorflow():
        from pgan_tf.evaluation.extraction import load_feature_extractor
        from pgan_tf.generating.sampler import Sampler
        from pgan_tf.metrics import DINOV2
        from pgan_tf.projecting.project import Projections, ProjectOptions
    sampler = Sampler(flags["network"], ema_length=flags["ema_length"])
    reader = PictureReader(sampler, crop=flags["crop"])
    usable = reader.usable(pictures, skip_bad_images=flags["skip_bad_images"])
    extractor = None
    if _has_features(flags) and flags["feature_weight"]:
        default = _INCEPTION if flags["inception"] else DINOV2
        features = flags["features"] or default
        extractor = load_feature_extractor(
            flags["inception"],
            "" if features == _INCEPTION else features,
            dinov2=flags["dinov2"],
        )
    names = ProjectOptions.__dataclass_fields__
    projections = Projections(
        sampler,
        ProjectOptions(**{name: flags[name] for name in names}),
        extractor=extractor,
        ema_length=flags["ema_length"],
    )
    found: list[dict[str, Any]] = []
    for picture, values in projections.write_all(usable, reader, output, video=flags["video"]):
        found.append(values)
        chosen = f"class {values['class']}, " if "class" in values else ""
        say(
            f"{picture.display_name}: {chosen}pixels are off by {values['rms_error']:.1f} of 255 "
            f"(root mean square); {output / picture.name}.npy"
        )
    if "class" in found[-1] or "label" not in found[-1]:
        which = "it" if len(found) == 1 else "the last"
        say(f"To draw {which} again: {_command(flags, found, output)}")


def _command(flags: dict[str, Any], found: list[dict[str, Any]], output: Path) -> str:
    """Return the command that draws the last latents."""
    words = [
        "pgan-generate",
        f"--network={flags['network']}",
        f"--latents={output / found[-1]['latents']}",
        *([f"--classes={found[-1]['class']}"] if "class" in found[-1] else []),
        "--output=again",
    ]
    return shlex.join(words)


COMMAND = command.Command(
    NAME,
    command.Help(
        description="finds the latents of given pictures, with which a generator draws them.",
        example="pgan-project --network=runs/faces --input=me.jpg --output=out",
        most_used=("network", "input", "output", "steps", "starts", "classes", "video"),
        sections=(
            command.Section(
                "pictures",
                "the network, the pictures and what is written",
                (
                    *("network", "ema_length", "input", "crop", "skip_bad_images", "output"),
                    *("overwrite", "video"),
                ),
            ),
            command.Section(
                "search",
                "steps and starts",
                ("steps", "starts", "seed", "learning_rate", "classes", "batch_size", "tf32"),
            ),
            command.Section(
                "distance",
                "what makes two pictures alike",
                ("pixel_weight", "feature_weight", "features", "inception", "dinov2"),
            ),
        ),
    ),
    _define_flags,
    _project,
    typed=("features",),
)


if __name__ == "__main__":
    sys.exit(main())
