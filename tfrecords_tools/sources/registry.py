"""The list of all sources, in the order of docs/reference/sources.md."""

from collections.abc import Mapping

from tfrecords_tools.sources import (
    celeba,
    celebahq,
    cifar,
    hdf5,
    idx,
    images,
    lsun,
    mnist_rgb,
    svhn,
    synthetic,
    tfds,
)
from tfrecords_tools.sources.spec import FlagSpec, SourceSpec

_SPECS = (
    images.SPEC,
    idx.SPEC,
    mnist_rgb.SPEC,
    cifar.CIFAR10_SPEC,
    cifar.CIFAR100_SPEC,
    svhn.SPEC,
    lsun.SPEC,
    celeba.SPEC,
    celebahq.SPEC,
    hdf5.SPEC,
    tfds.SPEC,
    synthetic.SPEC,
)
SOURCES: Mapping[str, SourceSpec] = {spec.name: spec for spec in _SPECS}


def is_source(value: str) -> bool:
    """Return True if a value of `--source` names a source, with a colon where it takes one."""
    name, colon, _ = value.partition(":")
    return name in SOURCES and bool(colon) == bool(SOURCES[name].argument)


def find_source(value: str) -> SourceSpec:
    """Return the source that a value of `--source` names, given that it names one."""
    return SOURCES[value.partition(":")[0]]


def flags_by_source() -> dict[str, dict[str, FlagSpec]]:
    """Return the flags of all sources, by flag name and then by source name."""
    found: dict[str, dict[str, FlagSpec]] = {}
    for spec in SOURCES.values():
        for flag in spec.flags:
            found.setdefault(flag.name, {})[spec.name] = flag
    return found
