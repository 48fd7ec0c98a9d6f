"""Image data sets of tensorflow-datasets, downloaded and prepared by it, read by us."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.arrays import checked_classes
from tfrecords_tools.sources.images import ImagesSource, complete_policy
from tfrecords_tools.sources.pixels import ImagePolicy
from tfrecords_tools.sources.tfds_records import Part, index_records

PREFIX = "tfds:"
DEFAULT_SPLIT = "train"


def parse_name(source: str) -> tuple[str, str]:
    """Name and split of `tfds:NAME[:SPLIT]`. The name may have a configuration and a version.

    Raises:
      UserError: there is no name.
    """
    name, split = re.fullmatch(r"tfds:([^:]*(?::\d[\d.*]*)?)(?::(.*))?", source, re.S).groups()  # type: ignore[union-attr]
    if not name or split == "":
        raise UserError(f"--source must be tfds:NAME or tfds:NAME:SPLIT. Received: {source}")
    return name, split or DEFAULT_SPLIT


def open_tfds(
    source: str,
    data_dir: Path | None,
    manual_dir: Path | None,
    policy: ImagePolicy,
    labels: bool | None,
    num_workers: int,
    skip_bad_images: bool,
    say: Callable[[str], None],
) -> ImagesSource:
    """Prepares a data set, downloading it if it is not there yet, and finds its images.

    Args:
      source: `tfds:NAME[:SPLIT]`; all that tensorflow-datasets understands, such as
        `tfds:celeb_a:train[:10%]`.
      data_dir: where prepared data sets are kept; None for the library's own place.
      manual_dir: where files are that have been downloaded by hand.
      policy: how images become pixels; as for a folder of images, 0 means "choose".
      labels: True needs classes, False leaves them, None takes them if there are any.
      num_workers: processes that read headers.
      skip_bad_images: whether images that cannot be used may be among them.
      say: called with lines for the user.

    Raises:
      UserError: there is no such data set or split, it cannot be downloaded, or it has no images.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Imported here: it brings TensorFlow, which no other source needs.
    import tensorflow_datasets as tfds

    name, split = parse_name(source)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:
        raise UserError(f"--source=tfds:{name}: no such data set: {_in_short(error)}") from error
    # What it will hold is known before it is there.
    image = _image_feature(tfds, name, builder.info)
    label = None if labels is False else _label_feature(tfds, builder.info)
    if labels and label is None:
        raise UserError(
            f"--labels=classes needs one class an image. Received: {name} with"
            f" {_shown(builder.info)}"
        )
    _prepare(tfds, builder, name, manual_dir, say)
    root = Path(builder.data_dir)
    files, classes = index_records(root, _parts(builder, name, split), image, label)
    names = None
    if label is not None and classes is not None:
        feature = builder.info.features[label]
        if classes.min() < 0 and labels is None:
            say(f"Left out the labels of {name}: the images of {split} have none")
            classes = None
        else:
            classes = checked_classes(
                f"{source}: {label}", classes, len(classes), feature.num_classes
            )
            names = tuple(feature.names)
    chosen = complete_policy(files, policy, num_workers, skip_bad_images, say)
    return ImagesSource(files, chosen, classes, names, kind=source)


def _prepare(
    tfds: Any, builder: Any, name: str, manual_dir: Path | None, say: Callable[[str], None]
) -> None:
    """Downloads and prepares the data set, unless its files are in place."""
    if not Path(builder.data_dir).exists():
        say(f"Downloading and preparing {name} in {builder.data_dir}")
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir,
        # From where the data set is published, not from a copy prepared by somebody else.
        try_download_gcs=False,
    )
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # the network, the publisher's files, the data set's own code
        by_hand = "; --manual_dir says where such files are" if "anual" in str(error) else ""
        raise UserError(
            f"--source=tfds:{name}: cannot be downloaded or prepared:"
            f" {type(error).__name__}: {_in_short(error)}{by_hand}"
        ) from error
    if builder.info.file_format.value != "tfrecord":
        raise UserError(
            f"--source=tfds:{name}: must be prepared as tfrecord files, in {builder.data_dir}."
            f" Received: {builder.info.file_format.value}"
        )


def _parts(builder: Any, name: str, split: str) -> list[Part]:
    try:
        instructions = builder.info.splits[split].file_instructions
    except Exception as error:  # KeyError, ValueError and others, by what is wrong with it
        known = ", ".join(builder.info.splits)
        raise UserError(
            f"--source=tfds:{name}:{split}: the splits are {known}, and parts of them such as"
            f" train[:10%]. Received: {split}"
        ) from error
    return [
        Part(
            Path(instruction.filename),
            instruction.skip,
            instruction.examples_in_shard - instruction.skip
            if instruction.take < 0
            else instruction.take,
        )
        for instruction in instructions
    ]


def _image_feature(tfds: Any, name: str, info: Any) -> str:
    images: list[str] = [key for key, feature in info.features.items() if _is_image(tfds, feature)]
    supervised: str = (info.supervised_keys or ("",))[0]
    preferred = [wanted for wanted in ("image", supervised) if wanted in images]
    if preferred:
        return preferred[0]
    if len(images) == 1:
        return images[0]
    raise UserError(
        f"--source=tfds:{name}: must have one 8-bit image an example. Received: {_shown(info)}"
    )


def _is_image(tfds: Any, feature: Any) -> bool:
    return isinstance(feature, tfds.features.Image) and np.dtype(feature.np_dtype).kind == "u"


def _label_feature(tfds: Any, info: Any) -> str | None:
    labels = [
        key
        for key, feature in info.features.items()
        if isinstance(feature, tfds.features.ClassLabel)
    ]
    supervised = (info.supervised_keys or (None, None))[1]
    if supervised in labels:
        return supervised
    return labels[0] if len(labels) == 1 else None


def _shown(info: Any) -> str:
    return ", ".join(f"{key}: {type(value).__name__}" for key, value in info.features.items())


def _in_short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{text[:500]}..." if len(text) > 500 else text or type(error).__name__
