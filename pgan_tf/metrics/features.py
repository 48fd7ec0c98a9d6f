"""Feature extractors: their interface, and extractors made from a user's function.

Those that can be differentiated have a method `of_tensor`, too; see `differentiable.py`.
"""

import dataclasses
import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import user_path
from tfrecords_tools.untrusted.regular_file import MAX_TEXT_BYTES, read_bytes

if TYPE_CHECKING:
    import tensorflow as tf


class Features(NamedTuple):
    """An extractor's output for a batch.

    Attributes:
      features: `[b d]` float32.
      logits: `[b k]` float32, scores of k classes before the softmax; None if the extractor is not
        a classifier.
    """

    features: np.ndarray
    logits: np.ndarray | None = None


class FeatureExtractor(Protocol):
    """A function from images to features.

    Attributes:
      name: for tables and messages.
      digest: changes whenever the features may; part of the keys of caches.
    """

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        ...

    @property
    def digest(self) -> str:
        """Digest that changes whenever the features may."""
        ...

    def __call__(self, images: np.ndarray) -> Features:
        """Return the features of `[b h w 3]` uint8 images."""
        ...


@dataclasses.dataclass(frozen=True)
class FunctionExtractor:
    """An extractor made from a user's function, whose output is checked.

    Attributes:
      name: "module:function", as it was given.
      digest: see `FeatureExtractor`.
      function: `[b h w 3]` uint8 images to `[b d]` features, or to a pair of those and `[b k]`
        logits.
    """

    name: str
    digest: str
    function: Callable[[np.ndarray], Any]

    def __call__(self, images: np.ndarray) -> Features:
        """Return the features of `[b h w 3]` uint8 images.

        Raises:
          UserError: the function's output has a wrong shape, or is not finite.
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

    def of_tensor(self, images: "tf.Tensor") -> "tf.Tensor":
        """Return the features of float32 images; see `differentiable.TensorExtractor`.

        A function that computes with TensorFlow alone can do that; others raise when they are given
        a tensor without values.
        """
        import tensorflow as tf

        returned = self.function(images)
        features = returned[0] if isinstance(returned, tuple) else returned
        return tf.cast(tf.convert_to_tensor(features), tf.float32)


def load_features(reference: str) -> FeatureExtractor:
    """Make an extractor from a user's function.

    Args:
      reference: "module:function" of a module that Python finds, or "FILE.py:function". The
        function takes `[b h w 3]` uint8 images and returns `[b d]` features, or a pair of those and
        `[b k]` logits. If it has an attribute `digest`, a string, that is its version for caches;
        else the text of its module is.

    Raises:
      UserError: there is no such module or function.
    """
    module_name, _, function_name = reference.rpartition(":")
    is_file = module_name.endswith(".py")
    if not module_name or not function_name or (module_name.startswith(".") and not is_file):
        raise UserError(
            "one's own features are given as module:function or FILE.py:function, such as"
            f" my_features.py:extract. Received: {reference}"
        )
    import_it = _import_file if is_file else _import_module
    module = import_it(reference, module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UserError(
            f"features {reference}: {module_name} has no function {function_name}"
            f" ({module.__file__ or 'a module without a file'})"
        )
    return FunctionExtractor(reference, _digest(reference, module, function), function)


def check_features(features: Any, logits: Any, *, count: int, origin: str) -> Features:
    """Check the output of an extractor.

    Args:
      features: must be `[count d]` finite numbers.
      logits: must be None or `[count k]` finite numbers.
      count: number of images.
      origin: name of the extractor, for messages.

    Returns:
      Both as float32.

    Raises:
      UserError: an array has another shape, or is not finite.
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
    """Check that an array has no NaN and no infinity.

    Raises:
      UserError: it has.
    """
    finite = np.isfinite(values)
    if not finite.all():
        raise UserError(
            f"{what} must be finite. Received: NaN or infinity in"
            f" {finite.size - np.count_nonzero(finite)} of {finite.size} values"
        )


def require_matrix(values: np.ndarray, what: str, *, least: int) -> np.ndarray:
    """Check that an array is finite and `[n d]`, of at least `least` rows; return it.

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
    """Check that two arrays of features may come from one extractor.

    Raises:
      UserError: their last dimensions differ.
    """
    if a.shape[-1] != b.shape[-1]:
        raise UserError(
            f"{what} compares features of one extractor. Received: {a.shape[-1]} and"
            f" {b.shape[-1]} features an image"
        )


def _import_module(reference: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, but imports one that is missing
        raise UserError(
            f"features {reference}: no module {name} is installed or on PYTHONPATH; a file is given"
            " by its name, as FILE.py:function"
        ) from error


def _import_file(reference: str, name: str) -> Any:
    path = user_path(name)
    if not path.is_file():
        raise UserError(f"features {reference}: no such file: {name}")
    # A name of its own, so that it neither replaces nor becomes a module of that name.
    spec = importlib.util.spec_from_file_location(f"own_features_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"features {reference}: not a file of Python: {name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _digest(reference: str, module: Any, function: Callable) -> str:
    own = getattr(function, "digest", None)
    digest = hashlib.sha256(reference.encode())
    if isinstance(own, str):
        digest.update(own.encode())
    elif getattr(module, "__file__", None):
        digest.update(read_bytes(module.__file__, MAX_TEXT_BYTES))
    return digest.hexdigest()
