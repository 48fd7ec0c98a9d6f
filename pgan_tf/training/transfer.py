"""Weights of other networks, fitted to those of a new run: by layers and by classes.

Only two layers know of labels. The generator's first layer has rows of latents and, after them, a
row for each component of a label; the discriminator's last layer has a column for the score and,
after it, one for each logit. Standard library and NumPy only, because `pgan-train --plan` imports
this module.
"""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pgan_tf.config import NetworkConfig
from pgan_tf.networks.layer_table import LayerSpec, discriminator_layers, generator_layers

_RESOLUTION = re.compile(r"(\d{1,9})x\1")
_NAMES_SHOWN = 10  # of classes, or of layers, in a line


@dataclasses.dataclass(frozen=True)
class ClassMatch:
    """The classes of a run that continue classes of the source's networks.

    Attributes:
      source_size: components of the source's labels; 0 without labels.
      sources: for each class of the run, the number of the source's class, or None.
      names: of the run's classes, numbers if they have no names.
      reason: by what the classes are matched, or why they are not.
    """

    source_size: int
    sources: tuple[int | None, ...]
    names: tuple[str, ...]
    reason: str

    @property
    def new(self) -> list[str]:
        """Names of the classes that begin anew."""
        return [n for n, source in zip(self.names, self.sources, strict=True) if source is None]

    @property
    def kept(self) -> list[str]:
        """Names of the classes that are taken over."""
        return [n for n, source in zip(self.names, self.sources, strict=True) if source is not None]

    @property
    def left_out(self) -> int:
        """Number of the source's classes that the run does not have."""
        return self.source_size - len(self.kept)


def match_classes(
    source_size: int,
    source_names: Sequence[str] | None,
    size: int,
    names: Sequence[str] | None,
) -> ClassMatch:
    """Match classes by their names, or by their numbers where there are equally many.

    Args:
      source_size: components of the source's labels; 0 without labels.
      source_names: names of the source's classes; None if they are unknown.
      size: components of the run's labels; 0 without labels.
      names: names of the run's classes; None if they have none.
    """
    known = source_names if source_names is not None and len(source_names) == source_size else None
    own = names if names is not None and len(names) == size else None
    shown = tuple(own or map(str, range(size)))
    if not source_size or not size:
        reason = "neither has labels"
        if source_size or size:
            reason = f"{'the source' if size else 'this run'} has no labels"
        return ClassMatch(source_size, (None,) * size, shown, reason)
    if known is not None and own is not None:
        if list(known) == list(own):
            return ClassMatch(source_size, tuple(range(size)), shown, "the same classes")
        return ClassMatch(source_size, tuple(_by_name(known, own)), shown, "matched by name")
    nameless = f"the {'source' if known is None else 'data'}'s classes have no names"
    if source_size == size:
        reason = f"matched by number: {nameless}"
        return ClassMatch(source_size, tuple(range(size)), shown, reason)
    return ClassMatch(source_size, (None,) * size, shown, nameless)


def _by_name(source_names: Sequence[str], names: Sequence[str]) -> Iterator[int | None]:
    in_source, in_run = Counter(source_names), Counter(names)
    for name in names:
        unique = in_source[name] == in_run[name] == 1
        yield source_names.index(name) if unique else None


@dataclasses.dataclass(frozen=True)
class _LabelAxis:
    """The axis of a variable along which the components of labels lie.

    Attributes:
      axis: its number.
      before: entries before the labels'.
      factor: of what is taken over.
    """

    axis: int
    before: int
    factor: float = 1.0


class Transfer:
    """The weights that a run's networks begin with, from those of other networks.

    Attributes:
      classes: the classes that are taken over.
    """

    def __init__(
        self, config: NetworkConfig, arrays: Mapping[str, np.ndarray], classes: ClassMatch
    ):
        """Check that the layers fit.

        Args:
          config: of the run's networks; of the source's too, but for labels and resolution.
          arrays: the weights of the source's networks, by their names in a checkpoint.
          classes: the classes that are taken over.

        Raises:
          ValueError: a layer is missing, or has another shape.
        """
        self.classes = classes
        self._arrays = arrays
        self._highest = max(map(_resolution, arrays))
        self._tables = {"generator": generator_layers(config)}
        self._tables["generator_ema"] = self._tables["generator"]
        self._tables["discriminator"] = discriminator_layers(config)
        first, scores = self._tables["generator"][0], self._tables["discriminator"][-1]
        self._final, self._size_text = config.final_resolution, config.size_text
        column = _LabelAxis(axis=-1, before=1)
        self._axes = {
            first.kernel_name: _LabelAxis(
                axis=0,
                before=config.resolved_latent_size,
                factor=_first_layer_factor(config, classes.source_size),
            ),
            scores.kernel_name: column,
            scores.bias_name: column,
        }
        self._check()

    def _check(self) -> None:
        for network, table in self._tables.items():
            for path, shape in _variables(table):
                if _resolution(path) > self._highest:
                    continue
                expected = list(shape)
                if path in self._axes:
                    label_axis = self._axes[path]
                    expected[label_axis.axis] = label_axis.before + self.classes.source_size
                array = self._arrays.get(f"{network}/{path}")
                if array is None or list(array.shape) != expected:
                    raise ValueError(
                        f"{network}/{path} must have the shape {expected}. "
                        f"Received: {'nothing' if array is None else list(array.shape)}"
                    )

    def weights(self, network: str, path: str, new: np.ndarray) -> np.ndarray:
        """Return the values that a variable begins with.

        Args:
          network: its network's name in checkpoints.
          path: the variable's name in the network.
          new: the values that it has in a run without other networks.
        """
        if _resolution(path) > self._highest:
            return new
        old = self._arrays[f"{network}/{path}"]
        if path not in self._axes:
            return old
        label_axis = self._axes[path]
        fitted = np.moveaxis(new.copy(), label_axis.axis, 0)
        taken = np.moveaxis(old, label_axis.axis, 0) * np.float32(label_axis.factor)
        before = label_axis.before
        fitted[:before] = taken[:before]
        for number, source in enumerate(self.classes.sources):
            if source is not None:
                fitted[before + number] = taken[before + source]
        return np.moveaxis(fitted, 0, label_axis.axis)

    def lines(self) -> list[str]:
        """Return lines on what is taken over, what begins anew and what is left out."""
        above = f"the source ends at {self._size_text(self._highest)}"
        lines = []
        for title, network in (
            ("generator and its average", "generator"),
            ("discriminator", "discriminator"),
        ):
            table = self._tables[network]
            new = [spec.name for spec in table if spec.resolution > self._highest]
            parts = [f"{len(table) - len(new)} of {len(table)} layers taken over"]
            if new:
                parts.append(f"{_listed(new)} begin anew: {above}")
            lines.append(f"{title}: {'; '.join(parts)}")
        if self.classes.source_size or self.classes.names:
            lines.append(f"labels: {self._labels_line()}")
        if self._highest > self._final:
            lines.append(f"left out: the layers above {self._size_text(self._final)}")
        lines.append("both optimizers begin anew")
        return lines

    def _labels_line(self) -> str:
        first, scores = self._tables["generator"][0], self._tables["discriminator"][-1]
        where = f"rows of {first.name} and columns of {scores.name}"
        parts = []
        if self.classes.kept:
            parts.append(f"{where} taken over for {_classes(self.classes.kept)}")
        if self.classes.new:
            verb = "begin anew" if self.classes.kept else f"{where} begin anew"
            parts.append(f"{verb} for {_classes(self.classes.new)}")
        if self.classes.left_out:
            count = self.classes.left_out
            parts.append(f"those of {count} of the source's {self.classes.source_size} left out")
        return f"{'; '.join(parts)} ({self.classes.reason})"


def _first_layer_factor(config: NetworkConfig, source_size: int) -> float:
    """Return the factor by which the kernel's rows keep what the latents contribute.

    The equalized learning rate divides the kernel by sqrt(inputs), and the normalization of latents
    with labels multiplies its input by sqrt(inputs): together they leave nothing to correct. A
    network with one of the two alone would change with the number of inputs.
    """
    if config.equalized_learning_rate == config.normalize_latents:
        return 1.0
    old, new = (config.resolved_latent_size + size for size in (source_size, config.label_size))
    return math.sqrt(new / old if config.equalized_learning_rate else old / new)


def _resolution(name: str) -> int:
    """Return a variable's resolution: 16 for `generator/16x16_conv0/kernel`; 0 if it has none."""
    match = _RESOLUTION.search(name)
    return int(match[1]) if match else 0


def _variables(table: Sequence[LayerSpec]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for spec in table:
        yield from spec.variables.items()


def _classes(names: Sequence[str]) -> str:
    return f"{len(names)} class{'es' if len(names) > 1 else ''}, {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
