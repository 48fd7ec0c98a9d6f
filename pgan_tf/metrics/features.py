"""Features of images: what an extractor is, and how one's own function becomes one."""

import dataclasses
import hashlib
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfrecords_tools.errors import UserError


class Features(NamedTuple):
    """What an extractor says of a batch.

    Attributes:
      features: `[b d]` float32.
      logits: `[b k]` float32, scores of k classes before the softmax; None where the extractor is
        no classifier.
    """

    features: np.ndarray
    logits: np.ndarray | None = None


class FeatureExtractor(Protocol):
    """Turns images into features.

    Attributes:
      name: how a table or a message calls it.
      digest: changes whenever the features may; part of the key of whatever is cached.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    def __call__(self, images: np.ndarray) -> Features:
        """Features of `[b h w 3]` uint8 images."""
        ...


@dataclasses.dataclass(frozen=True)
class FunctionExtractor:
    """A user's function as an extractor, with what it returns checked.

    Attributes:
      name: as it was given, "module:function".
      digest: see `FeatureExtractor`.
      function: `[b h w 3]` uint8 images to `[b d]` features, or to a pair of those and `[b k]`
        logits.
    """

    name: str
    digest: str
    function: Callable[[np.ndarray], Any]

    def __call__(self, images: np.ndarray) -> Features:
        """Features of `[b h w 3]` uint8 images.

        Raises:
          UserError: what the function returns has a wrong shape, or is not finite.
        """
        returned = self.function(images)
        features, logits = returned, None
        if isinstance(returned, tuple):
            if len(returned) != 2:
                raise UserError(
                    f"features {self.name}: must return features, or a pair of features and logits."
                    f" Received: a tuple of {len(returned)}"
                )
            features, logits = returned
        return check_features(features, logits, count=len(images), origin=f"features {self.name}")


def load_features(reference: str) -> FeatureExtractor:
    """Makes an extractor of one's own function.

    Args:
      reference: "module:function". The module is one that Python finds, or lies in the current
        directory. The function takes `[b h w 3]` uint8 images and returns `[b d]` features, or a
        pair of those and `[b k]` logits. If it has an attribute `digest`, a string, that names its
        version for caches; else the text of its module does.

    Raises:
      UserError: there is no such module or function.
    """
    module_name, _, function_name = reference.partition(":")
    if not module_name or not function_name or module_name.startswith("."):
        raise UserError(
            "one's own features are given as module:function, such as my_features:extract."
            f" Received: {reference}"
        )
    module = _import_module(reference, module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UserError(
            f"features {reference}: {module_name} has no function {function_name}"
            f" ({module.__file__ or 'a module without a file'})"
        )
    return FunctionExtractor(reference, _digest(reference, module, function), function)


def check_features(features: Any, logits: Any, *, count: int, origin: str) -> Features:
    """Holds what an extractor returned against what was promised.

    Args:
      features: should be `[count d]` finite numbers.
      logits: should be None or `[count k]` finite numbers.
      count: number of images that went in.
      origin: whose they are, for messages.

    Returns:
      Both as float32.

    Raises:
      UserError: one is not.
    """
    checked = _check_matrix(features, count, f"{origin}: the features")
    if logits is None:
        return Features(checked)
    return Features(checked, _check_matrix(logits, count, f"{origin}: the logits"))


def _check_matrix(values: Any, count: int, what: str) -> np.ndarray:
    try:
        matrix = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"{what} must be an array of numbers. Received: {error}") from error
    if matrix.ndim != 2 or matrix.shape[0] != count or matrix.shape[1] == 0:
        raise UserError(
            f"{what} of {count} images must have the shape [{count}, number of features]."
            f" Received: {list(matrix.shape)}"
        )
    require_finite(matrix, what)
    return matrix


def require_finite(values: np.ndarray, what: str) -> None:
    """Refuses NaN and infinity.

    Raises:
      UserError: there is one in `values`.
    """
    finite = np.isfinite(values)
    if not finite.all():
        raise UserError(
            f"{what} must be finite. Received: NaN or infinity in"
            f" {finite.size - np.count_nonzero(finite)} of {finite.size} values"
        )


def require_matrix(values: np.ndarray, what: str, *, least: int) -> np.ndarray:
    """Refuses what is no finite `[n d]` array of at least `least` rows.

    Raises:
      UserError: it is not.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] == 0:
        raise UserError(f"{what} must have the shape [n, d]. Received: {list(array.shape)}")
    if len(array) < least:
        raise UserError(f"{what} must come from at least {least} images. Received: {len(array)}")
    require_finite(array, what)
    return array


def require_same_width(a: np.ndarray, b: np.ndarray, what: str) -> None:
    """Refuses two arrays of features that can't come from one extractor.

    Raises:
      UserError: their last dimensions differ.
    """
    if a.shape[-1] != b.shape[-1]:
        raise UserError(
            f"{what} compares features of one extractor. Received: {a.shape[-1]} and"
            f" {b.shape[-1]} features an image"
        )


def _import_module(reference: str, name: str) -> Any:
    # An installed command doesn't look into the current directory by itself.
    here = os.getcwd()
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there and misses another one
        raise UserError(
            f"features {reference}: no module {name}, neither installed nor in {here}"
        ) from error
    finally:
        if added:
            sys.path.remove(here)


def _digest(reference: str, module: Any, function: Callable) -> str:
    own = getattr(function, "digest", None)
    digest = hashlib.sha256(reference.encode())
    if isinstance(own, str):
        digest.update(own.encode())
    elif getattr(module, "__file__", None):
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()
