"""The flags of pgan-prepare-tfrecords that say what its source is, and which source knows which."""

import dataclasses
from collections.abc import Sequence

from absl import flags

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources import tfds


@dataclasses.dataclass(frozen=True)
class SourceKind:
    """What a source understands.

    Attributes:
      flags: those that mean something to it. Others are refused, not ignored.
      labels: what `--labels` may be, beside auto.
      splits: what `--split` may be.
      needs_input: whether `--input` must be given.
      at_once: whether it decodes all images at once, which one process does best.
    """

    flags: frozenset[str]
    labels: tuple[str, ...] = ("none", "classes")
    splits: tuple[str, ...] = ("train", "test")
    needs_input: bool = True
    at_once: bool = False


_IMAGE_FLAGS = frozenset(
    {"input", "resolution", "channels", "labels", "crop", "resize", "background", "shuffle"}
    | {"max_pixels", "skip_bad_images", "allow_upscale"}
)
_ARRAY_FLAGS = frozenset({"input", "split", "labels", "shuffle"})

# In the order of docs/guide/data.md. Those that the original shuffles know --shuffle.
SOURCES = {
    "images": SourceKind(_IMAGE_FLAGS, ("none", "folders")),
    "idx": SourceKind(_ARRAY_FLAGS | {"label_names"}),
    "mnist_rgb": SourceKind(frozenset({"input", "split"})),
    "cifar10": SourceKind(_ARRAY_FLAGS, at_once=True),
    "cifar100": SourceKind(_ARRAY_FLAGS, at_once=True),
    "svhn": SourceKind(_ARRAY_FLAGS, splits=("train", "test", "extra"), at_once=True),
    "lsun": SourceKind(frozenset({"input", "resolution", "max_pixels", "skip_bad_images"})),
    "celeba": SourceKind(frozenset({"input", "attributes", "expected_images", "shuffle"})),
    "celebahq": SourceKind(frozenset({"input", "resolution", "expected_images", "shuffle"})),
    "hdf5": SourceKind(frozenset({"input", "labels", "shuffle"})),
    "tfds": SourceKind(_IMAGE_FLAGS | {"manual_dir"}, needs_input=False),
    "synthetic": SourceKind(frozenset({"resolution", "seed", "labels"}), needs_input=False),
}
_TFDS_SHOWN = "tfds:NAME[:SPLIT]"


def source_kind(source: str) -> str:
    """The key in `SOURCES` of a value of `--source`."""
    return "tfds" if source.startswith(tfds.PREFIX) else source


class _SourceParser(flags.EnumParser):
    """The names of the sources; of tensorflow-datasets', any name."""

    def __init__(self) -> None:
        super().__init__([_TFDS_SHOWN if name == "tfds" else name for name in SOURCES])

    def parse(self, argument: str) -> str:
        """Returns the source as it is given."""
        if argument.startswith(tfds.PREFIX):
            return argument
        return super().parse(argument)


def check_source_flags(values: flags.FlagValues, common: frozenset[str]) -> None:
    """Refuses flags that were given but mean nothing to the source, and values it does not know.

    Args:
      values: the flags; `--source` is among them.
      common: names of the flags that every source knows.

    Raises:
      UserError: names the flag.
    """
    source: str = values["source"].value  # type: ignore[assignment]
    kind = SOURCES[source_kind(source)]
    known = kind.flags | common
    for other in SOURCES.values():
        for name in sorted(other.flags - known):
            if values[name].present:
                raise UserError(f"--{name} has no meaning for --source={source}; leave it out")
    labels = values["labels"].value
    if labels not in ("auto", *kind.labels):
        allowed = " or ".join(("auto", *kind.labels))
        raise UserError(f"--labels must be {allowed} for --source={source}. Received: {labels}")
    split = values["split"].value
    if split not in kind.splits:
        allowed = " or ".join(kind.splits)
        raise UserError(f"--split must be {allowed} for --source={source}. Received: {split}")
    if kind.needs_input and not values["input"].value:
        raise UserError(f"--input is required for --source={source}")


def define_source_flags(values: flags.FlagValues) -> None:
    """Defines `--source` and the flags of `SOURCES`."""

    def enum(name: str, default: str | None, choices: Sequence[str], text: str) -> None:
        flags.DEFINE_enum(name, default, choices, text, flag_values=values)

    def boolean(name: str, default: bool, text: str) -> None:
        flags.DEFINE_boolean(name, default, text, flag_values=values)

    def string(name: str, default: str | None, text: str) -> None:
        flags.DEFINE_string(name, default, text, flag_values=values)

    def integer(name: str, default: int | None, text: str, lowest: int = 1) -> None:
        flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=values)

    flags.DEFINE(
        _SourceParser(),
        "source",
        None,
        "images: a folder or archive of image files; idx: MNIST, Fashion-MNIST and others in that"
        " format; mnist_rgb: three digits of MNIST as red, green and blue; cifar10, cifar100:"
        " their pickles for Python; svhn: Street View House Numbers; lsun: an LMDB database;"
        " celeba, celebahq; hdf5: an archive of the original's Theano version; tfds: any image"
        " data set of tensorflow-datasets; synthetic: drawn shapes, no input.",
        flag_values=values,
    )
    string(
        "input",
        None,
        "Where the source is: a folder or a file; docs/guide/data.md says which. images, celeba,"
        " celebahq: a folder, .zip, .tar or .tar.gz. tfds: the folder of prepared data sets"
        " (default: the library's own, ~/tensorflow_datasets).",
    )
    string(
        "resolution",
        "auto",
        "Side in pixels, a power of two from 4. auto: the largest power of two that enlarges no"
        " image; 256 for lsun, 1024 for celebahq, 64 for synthetic.",
    )
    enum("channels", "auto", ("auto", "1", "3"), "auto: 1 if every image is grayscale, else 3.")
    enum(
        "labels",
        "auto",
        ("auto", "none", "folders", "classes"),
        "images: folders makes each folder directly below --input a class (auto: none). Others:"
        " classes takes the data set's (auto: if there are any; none for synthetic, whose shapes"
        " are the classes).",
    )
    string("label_names", None, "idx: the classes' names, comma-separated. Default: 0,1,2,...")
    string(
        "attributes",
        None,
        "celeba: attributes that make the labels, comma-separated: each combination of them is a"
        " class. Default: no labels.",
    )
    enum(
        "split",
        "train",
        ("train", "test", "extra"),
        "idx, mnist_rgb, cifar10, cifar100, svhn: which files of a folder to read.",
    )
    integer(
        "expected_images",
        None,
        "celeba, celebahq: how many images there must be, 0 for any number. Default: 202599 and"
        " 30000.",
        lowest=0,
    )
    enum(
        "crop",
        "center",
        ("center", "pad", "none"),
        "images, tfds: how they become square. center: the largest centred square; pad: background"
        " is added; none: images that are not square are errors.",
    )
    enum(
        "resize",
        "lanczos",
        ("lanczos", "bicubic", "bilinear", "box", "nearest"),
        "images, tfds: the filter with which the square is scaled to the resolution.",
    )
    string(
        "background",
        "white",
        "images, tfds: what transparent pixels and padding show: a name, #rrggbb or rgb(r,g,b).",
    )
    boolean(
        "allow_upscale",
        False,
        "images, tfds: enlarge images smaller than the resolution, which otherwise are errors.",
    )
    boolean(
        "skip_bad_images",
        False,
        "images, lsun, tfds: leave out images that are damaged, too small or too large, and list"
        " them, rather than stop at the first.",
    )
    integer(
        "max_pixels",
        100_000_000,
        "images, lsun, tfds: images with more pixels are bad: not decoded.",
    )
    boolean(
        "shuffle",
        True,
        "Shuffle once, the same way each time, as the original does; --noshuffle keeps the source's"
        " order. lsun, mnist_rgb and synthetic are never shuffled.",
    )
    string("manual_dir", None, "tfds: the folder of files that were downloaded by hand.")
    integer("seed", 0, "synthetic: other seeds draw other images.", lowest=0)
