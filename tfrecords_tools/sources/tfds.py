"""Image data sets of tensorflow-datasets.

The library downloads and prepares them; the prepared files are read here, without TensorFlow.
"""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.sources.arrays import checked_classes
from tfrecords_tools.sources.header_scan import complete_policy
from tfrecords_tools.sources.image_flags import POLICY_FLAGS, requested_policy
from tfrecords_tools.sources.images import ImagesSource
from tfrecords_tools.sources.shared_flags import (
    INPUT,
    LABELS,
    RESOLUTION,
    SHUFFLE,
    SKIP_BAD_IMAGES,
    parse_path,
)
from tfrecords_tools.sources.spec import FlagSpec, SourceRequest, SourceSpec
from tfrecords_tools.sources.tfds_records import RecordRange, index_records

_DEFAULT_SPLIT = "train"


def parse_name(source: str) -> tuple[str, str]:
    """Return name and split of `tfds:NAME[:SPLIT]`.

    The name may have a configuration and a version, as in `celeb_a_hq/1024:2.0.1`.

    Raises:
      UserError: there is no name.
    """
    name, split = re.fullmatch(r"tfds:([^:]*(?::\d[\d.*]*)?)(?::(.*))?", source, re.S).groups()  # type: ignore[union-attr]
    if not name or split == "":
        raise UserError(f"--source must be tfds:NAME or tfds:NAME:SPLIT. Received: {source}")
    return name, split or _DEFAULT_SPLIT


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
    """Prepare a data set, after downloading it if necessary, and find its images.

    Args:
      source: `tfds:NAME[:SPLIT]`, with any name and split that tensorflow-datasets understands,
        such as `tfds:celeb_a:train[:10%]`.
      data_dir: the folder of prepared data sets; None for the library's own.
      manual_dir: the folder of files that were downloaded by hand.
      policy: the conversion of images to pixels; 0 means automatic, as in `images.open_images`.
      labels: True requires classes, False ignores them, None takes them if there are any.
      num_workers: processes that read headers.
      skip_bad_images: accept bad images among the others.
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
        raise UserError(f"--source=tfds:{name}: no such data set: {_shortened(error)}") from error
    # The features of a data set are known before it is downloaded.
    image = _image_feature(tfds, name, builder.info)
    label = None if labels is False else _label_feature(tfds, builder.info)
    if labels and label is None:
        raise UserError(
            f"--labels=classes needs one class for each image. Received: {name} with"
            f" {_shown(builder.info)}"
        )
    _prepare(tfds, builder, name, manual_dir, say)
    root = Path(builder.data_dir)
    files, classes = index_records(root, _record_ranges(builder, name, split), image, label)
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
    """Download and prepare the data set, unless its files are there."""
    if not Path(builder.data_dir).exists():
        say(f"Downloading and preparing {name} in {builder.data_dir}")
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir,
        # From the data set's publisher, not a copy that somebody else prepared.
        try_download_gcs=False,
    )
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # from the network, the publisher's files, the data set's own code
        by_hand = "; --manual_dir says where such files are" if "anual" in str(error) else ""
        raise UserError(
            f"--source=tfds:{name}: cannot be downloaded or prepared:"
            f" {type(error).__name__}: {_shortened(error)}{by_hand}"
        ) from error
    if builder.info.file_format.value != "tfrecord":
        raise UserError(
            f"--source=tfds:{name}: must be prepared as tfrecord files, in {builder.data_dir}."
            f" Received: {builder.info.file_format.value}"
        )


def _record_ranges(builder: Any, name: str, split: str) -> list[RecordRange]:
    try:
        instructions = builder.info.splits[split].file_instructions
    except Exception as error:  # KeyError, ValueError and others, depending on the mistake
        known = ", ".join(builder.info.splits)
        raise UserError(
            f"--source=tfds:{name}:{split}: the splits are {known}, and slices of them such as"
            f" train[:10%]. Received: {split}"
        ) from error
    return [
        RecordRange(
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
        f"--source=tfds:{name}: must have one 8-bit image in each example. Received: {_shown(info)}"
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


def _shortened(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{text[:500]}..." if len(text) > 500 else text or type(error).__name__


def _open(request: SourceRequest) -> ImagesSource:
    return open_tfds(
        request.source,
        request["input"],
        request["manual_dir"],
        requested_policy(request),
        request["labels"],
        request.num_workers,
        request["skip_bad_images"],
        request.say,
    )


SPEC = SourceSpec(
    name="tfds",
    argument="NAME[:SPLIT]",
    description="any image data set of tensorflow-datasets",
    flags=(
        replace(
            INPUT,
            note="the folder of prepared data sets, by default ~/tensorflow_datasets, the library's"
            " own",
            required=False,
        ),
        replace(RESOLUTION, note="auto is the largest square that enlarges no image"),
        LABELS,
        FlagSpec(
            "manual_dir",
            "string",
            None,
            "The folder of files that were downloaded by hand.",
            parse=parse_path,
        ),
        *POLICY_FLAGS,
        SKIP_BAD_IMAGES,
        SHUFFLE,
    ),
    open=_open,
)
