"""Features and logits of the 2015 Inception graph, as used for published FIDs and Inception scores.

The graph runs as it is, with its own resizing (bilinear to 299x299, corners not aligned) and
scaling. Only the operations that today's TensorFlow can't run on batches are replaced. Images that
have been resized before, by `clean_resize.py`, are left as they are by its resizing.
"""

import math
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from pgan_tf.metrics.clean_resize import resize_clean, resize_tensor
from pgan_tf.metrics.features import FeatureExtractor, Features, check_features
from pgan_tf.metrics.inception_file import ARCHIVE, GRAPH, GraphFile, find_inception
from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.graph_file import check_graph

if TYPE_CHECKING:
    import tensorflow as tf

# [1 h w 3] float32 in [0, 255]; the nodes before it decode a JPEG file.
_IMAGES = "ExpandDims"
_RESIZE = "ResizeBilinear"
_MAX_SIDE = 4096
# [1 1 1 d]
_FEATURES = "pool_3"
# Its second input is the weights [d k]. The bias is added after it.
_LOGITS = "softmax/logits/MatMul"
_OLD_BATCH_NORM = "BatchNormWithGlobalNormalization"
# The operations that a graph other than the published one may have: those of the published one and
# of graphs trained again in its form. They compute, and touch neither files nor the network.
_OPERATIONS = frozenset(
    {_OLD_BATCH_NORM, "Const", "Identity", "CheckNumerics", "Cast", "Reshape", "Squeeze"}
    | {"ResizeBilinear", "Sub", "Mul", "Add", "AddV2", "RealDiv", "Rsqrt", "Mean", "Pad"}
    | {"Conv2D", "DepthwiseConv2dNative", "MatMul", "BiasAdd", "Relu", "Relu6", "Softmax"}
    | {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "MaxPool", "AvgPool"}
    | {"Concat", "ConcatV2"}
)
# Four times the weights of the published graph, as numbers.
_MAX_CONSTANTS = 1 << 27


class InceptionExtractor:
    """A frozen Inception graph as an extractor.

    Features are those of `pool_3`, 2048 in the published graph. Logits are the features times the
    weights of the last layer, without its bias, for all of its 1008 outputs, as Inception scores
    have been computed since the original paper.

    Attributes:
      name: see `FeatureExtractor`.
      digest: see `FeatureExtractor`; SHA-256 of the graph, and how images are resized unless by the
        graph.
    """

    def __init__(self, graph_file: GraphFile, *, resize: str = "legacy", batch_size: int = 50):
        """Load the graph.

        Args:
          graph_file: of the graph.
          resize: "legacy" for the graph's own resizing, "clean" for antialiased resizing before it.
          batch_size: the most images at a time, which bounds the memory: about 15 MB per image.

        Raises:
          UserError: it is not an Inception graph.
        """
        self.name = "Inception (2015-12-05)" if graph_file.is_published else graph_file.path.name
        self.digest = graph_file.sha256
        self._batch_size = batch_size
        self._origin = str(graph_file.path)
        self._run, side = _as_function(graph_file, self._origin)
        self._side = None
        if resize == "clean":
            if side is None:
                raise _damaged(self._origin, f"{_RESIZE} does not say the size of images")
            self._side = side
            self.name += ", clean resize"
            self.digest += " clean"

    def __call__(self, images: np.ndarray) -> Features:
        """Return features `[b d]` and logits `[b k]` of `[b h w 3]` uint8 images of any size.

        Raises:
          UserError: the images have another shape or type, or the output is not finite.
        """
        import tensorflow as tf

        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise UserError(
                "Inception takes [b h w 3] uint8 images."
                f" Received: {list(images.shape)} {images.dtype}"
            )
        batches = []
        for start in range(0, len(images), self._batch_size):
            chosen = images[start : start + self._batch_size]
            try:
                if self._side is not None:
                    chosen = resize_clean(chosen, self._side)
                features, logits = self._run(tf.cast(chosen, tf.float32))
            except tf.errors.InvalidArgumentError as error:
                # The graph itself checks for NaN, at every convolution.
                cause = str(error).partition("\n\t [[")[0].splitlines()[-1]
                raise _damaged(self._origin, cause) from error
            batches.append(
                check_features(
                    features.numpy(), logits.numpy(), count=len(chosen), origin=self._origin
                )
            )
        if not batches:
            raise UserError("Inception takes at least one image. Received: none")
        return Features(
            np.concatenate([batch.features for batch in batches]),
            np.concatenate([batch.logits for batch in batches if batch.logits is not None]),
        )

    def of_tensor(self, images: "tf.Tensor") -> "tf.Tensor":
        """Return the features of float32 images; see `differentiable.TensorExtractor`."""
        return self._run(images if self._side is None else resize_tensor(images, self._side))[0]


def load_inception(path: str | os.PathLike | None, *, resize: str = "legacy") -> FeatureExtractor:
    """Load the Inception graph.

    Args:
      path: of `inception-2015-12-05.tgz`, or of the `classify_image_graph_def.pb` in it; None for
        the cached file, which is downloaded the first time (`inception_file.find_inception`).
      resize: "legacy" for the graph's own resizing, or "clean"; see `InceptionExtractor`.

    Raises:
      UserError: there is no such file, it is damaged, or it cannot be downloaded.
    """
    graph_file = find_inception(path)
    extractor = InceptionExtractor(graph_file, resize=resize)
    if not graph_file.is_published:
        logging.warning(
            "%s is not the published Inception graph of 2015 (its SHA-256 is %s): "
            "metrics computed with it can't be compared with published ones",
            graph_file.path,
            graph_file.sha256,
        )
    return extractor


def _as_function(graph_file: GraphFile, origin: str) -> tuple[Callable[..., Any], int | None]:
    """Return the graph as a function from `[b h w 3]` float32 images to features and logits.

    Also the side of the squares that it resizes images to; None if it has no such size.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        if not graph_file.is_published:
            check_graph(graph_file.content, graph_file.path)
        graph = tf.compat.v1.GraphDef.FromString(graph_file.content)
    except (DecodeError, UserError) as error:
        raise _damaged(origin, str(error).removeprefix(f"{origin}: damaged: ")) from error
    nodes = {node.name: node for node in graph.node}
    for name in (_FEATURES, _LOGITS):
        if name not in nodes:
            raise _damaged(origin, f"there is no {name} among its {len(nodes)} nodes")
    if len(nodes[_LOGITS].input) < 2:
        raise _damaged(origin, f"{_LOGITS} is not the product of two matrices")
    weights = nodes[_LOGITS].input[1]
    needed = _needed(nodes, [_FEATURES, weights])
    if not graph_file.is_published:
        _check_nodes([nodes[name] for name in needed], origin)
    modern = tf.compat.v1.GraphDef(versions=graph.versions)
    for node in graph.node:
        if node.name in needed:
            modern.node.extend(_modernize(node))

    def run(images: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        pooled, matrix = tf.graph_util.import_graph_def(
            modern,
            input_map={f"{_IMAGES}:0": images},
            return_elements=[f"{_FEATURES}:0", weights if ":" in weights else f"{weights}:0"],
            name="",
        )
        if pooled.shape.rank != 4 or pooled.shape[1:3] != [1, 1]:
            raise ValueError(f"{_FEATURES} should be [b, 1, 1, d]. Received: {pooled.shape}")
        features = tf.squeeze(pooled, [1, 2])
        return features, tf.matmul(features, matrix)

    images = tf.TensorSpec([None, None, None, 3], tf.float32)
    try:
        return tf.compat.v1.wrap_function(run, [images]), _side_of(nodes)
    except (ValueError, TypeError, KeyError, RecursionError, tf.errors.OpError) as error:
        raise _damaged(origin, error) from error


def _side_of(nodes: dict[str, Any]) -> int | None:
    """Return the side of the squares that the graph resizes images to; None without one."""
    import tensorflow as tf

    inputs = list(nodes[_RESIZE].input) if _RESIZE in nodes else []
    source = nodes.get(_node_name(inputs[1])) if len(inputs) > 1 else None
    if source is None or source.op != "Const":
        return None
    size = tf.make_ndarray(source.attr["value"].tensor).ravel()
    square = len(size) == 2 and size[0] == size[1] and 0 < size[0] <= _MAX_SIDE
    return int(size[0]) if square else None


def _check_nodes(nodes: Iterable[Any], origin: str) -> None:
    """Refuse a graph that a stranger may have made to do anything other than compute features.

    Raises:
      UserError: it has an operation that is not in `_OPERATIONS`, or constants without bounds.
    """
    constants = 0
    for node in nodes:
        if node.op not in _OPERATIONS:
            allowed = ", ".join(sorted(_OPERATIONS))
            raise UserError(
                f"{origin}: not executed: a graph other than the published one may have the "
                f"operations {allowed}. Received: {node.op!r:.80}"
            )
        if "value" in node.attr:
            sides = [side.size for side in node.attr["value"].tensor.tensor_shape.dim]
            constants += abs(math.prod(sides))
        if constants > _MAX_CONSTANTS:
            raise _damaged(origin, f"its constants are more than {_MAX_CONSTANTS} numbers")


def _needed(nodes: dict[str, Any], outputs: Iterable[str]) -> set[str]:
    """Return the names of the nodes that outputs depend on, as far back as the images.

    The nodes after the outputs work for a single image only.
    """
    needed: set[str] = set()
    waiting = [_node_name(name) for name in outputs]
    while waiting:
        name = waiting.pop()
        if name not in needed and name != _IMAGES and name in nodes:
            needed.add(name)
            waiting += [_node_name(source) for source in nodes[name].input]
    return needed


def _node_name(tensor: str) -> str:
    """Return the node of an input: "^name" is a control input, "name:1" a second output."""
    return tensor.removeprefix("^").partition(":")[0]


def _modernize(node: Any) -> list[Any]:
    """Replace batch normalization of 2015, which functions no longer run, by today's operation."""
    import tensorflow as tf

    if node.op != _OLD_BATCH_NORM:
        return [node]
    images, mean, variance, beta, gamma, *control = node.input
    modern = tf.compat.v1.NodeDef(name=node.name, op="FusedBatchNormV3", device=node.device)
    before = []
    if not node.attr["scale_after_normalization"].b:
        gamma = f"{node.name}/ones"
        ones = tf.compat.v1.NodeDef(name=gamma, op="OnesLike", input=[beta])
        ones.attr["T"].CopyFrom(node.attr["T"])
        before.append(ones)
    modern.input.extend([images, gamma, beta, mean, variance, *control])
    modern.attr["T"].CopyFrom(node.attr["T"])
    modern.attr["U"].CopyFrom(node.attr["T"])
    modern.attr["epsilon"].f = node.attr["variance_epsilon"].f
    modern.attr["is_training"].b = False
    modern.attr["data_format"].s = b"NHWC"
    return [*before, modern]


def _damaged(origin: str, reason: object) -> UserError:
    return UserError(
        f"{origin}: damaged, or not the Inception graph; expected {ARCHIVE} or its {GRAPH}:"
        f" {reason}"
    )
