"""A small frozen graph with the tensor names, old operations and fixed batch of the real one.

Two convolutions instead of 94. What it computes is written down once more in NumPy.
"""

import io
import tarfile

import numpy as np
import tensorflow as tf

SIZE, WIDTH, CLASSES = 17, 6, 5
EPSILON = 0.001


class SmallInception:
    """Weights of the graph, its bytes, and its results by NumPy."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)

        def normal(*shape):
            return rng.normal(size=shape).astype(np.float32)

        self.kernel, self.branch = normal(3, 3, 3, 4), normal(1, 1, 4, 2)
        self.mean, self.beta, self.gamma = normal(4), normal(4), normal(4)
        self.variance = rng.uniform(0.5, 2, 4).astype(np.float32)
        self.branch_mean, self.branch_beta, self.branch_gamma = normal(2), normal(2), normal(2)
        self.branch_variance = rng.uniform(0.5, 2, 2).astype(np.float32)
        self.weights, self.bias = normal(WIDTH, CLASSES), normal(CLASSES)

    def graph_def(self):
        """The graph, as a TensorFlow of 2015 would have written it."""
        old_norms = {}

        def batch_norm(x, mean, variance, beta, gamma, name, scale):
            constants = [
                tf.constant(value, name=f"{name}/{part}").op.name
                for value, part in zip(
                    (mean, variance, beta, gamma),
                    ("moving_mean", "moving_variance", "beta", "gamma"),
                    strict=True,
                )
            ]
            # Today's TensorFlow refuses to build the old operation, so another keeps its place.
            x = tf.identity(x, name=name)
            old_norms[x.op.name] = (constants, scale)
            checked = tf.raw_ops.CheckNumerics(tensor=x, message=name, name=f"{name}/CheckNumerics")
            with tf.control_dependencies([checked]):
                return tf.identity(x, name=f"{name}/control_dependency")

        graph = tf.Graph()
        with graph.as_default():
            contents = tf.compat.v1.placeholder(tf.string, [], name="DecodeJpeg/contents")
            image = tf.raw_ops.DecodeJpeg(contents=contents, channels=3, name="DecodeJpeg")
            image = tf.cast(image, tf.float32, name="Cast")
            x = tf.expand_dims(image, 0, name="ExpandDims")
            x = tf.raw_ops.ResizeBilinear(images=x, size=[SIZE, SIZE], name="ResizeBilinear")
            x = tf.multiply(tf.subtract(x, 128.0, name="Sub"), 1 / 128, name="Mul")
            kernel = tf.constant(self.kernel, name="conv/conv2d_params")
            x = tf.nn.conv2d(x, kernel, 2, "VALID", name="conv/Conv2D")
            x = batch_norm(
                x, self.mean, self.variance, self.beta, self.gamma, "conv/batchnorm", False
            )
            x = tf.nn.relu(x, name="conv")
            branch = tf.constant(self.branch, name="mixed/conv/conv2d_params")
            y = tf.nn.conv2d(x, branch, 1, "SAME", name="mixed/conv/Conv2D")
            y = batch_norm(
                y,
                self.branch_mean,
                self.branch_variance,
                self.branch_beta,
                self.branch_gamma,
                "mixed/conv/batchnorm",
                True,
            )
            y = tf.nn.relu(y, name="mixed/conv")
            x = tf.raw_ops.Concat(concat_dim=3, values=[x, y], name="mixed/join")
            x = tf.nn.avg_pool2d(x, 8, 1, "VALID", name="pool_3")
            x = tf.reshape(x, [1, WIDTH], name="pool_3/_reshape")
            weights = tf.constant(self.weights, name="softmax/weights")
            x = tf.matmul(x, weights, name="softmax/logits/MatMul")
            x = tf.nn.bias_add(x, tf.constant(self.bias), name="softmax/logits")
            tf.nn.softmax(x, name="softmax")
        graph_def = graph.as_graph_def()
        for node in graph_def.node:
            if node.name in old_norms:
                constants, scale = old_norms[node.name]
                node.op = "BatchNormWithGlobalNormalization"
                node.input.extend(constants)
                node.attr["variance_epsilon"].f = EPSILON
                node.attr["scale_after_normalization"].b = scale
        graph_def.versions.producer = 8
        return graph_def

    def serialized(self):
        return self.graph_def().SerializeToString(deterministic=True)

    def features(self, images):
        """`[b WIDTH]` by NumPy, in float64."""
        x = (resize_bilinear(images.astype(np.float64), SIZE) - 128) / 128
        x = convolve(x, self.kernel, 2)
        x = (x - self.mean) / np.sqrt(self.variance + EPSILON) + self.beta
        x = np.maximum(x, 0)
        y = convolve(x, self.branch, 1)
        y = (y - self.branch_mean) / np.sqrt(self.branch_variance + EPSILON)
        y = np.maximum(y * self.branch_gamma + self.branch_beta, 0)
        return np.concatenate([x, y], axis=3).mean((1, 2))

    def logits(self, images):
        """`[b CLASSES]` by NumPy: without the bias."""
        return self.features(images) @ self.weights


def resize_bilinear(images, size):
    """TensorFlow's first bilinear resizing of `[b h w c]`: corners, not centres, are the origin."""
    for axis in (1, 2):
        length = images.shape[axis]
        place = np.arange(size) * length / size
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (place - low).reshape([-1 if i == axis else 1 for i in range(4)])
        images = images.take(low, axis) * (1 - share) + images.take(high, axis) * share
    return images


def convolve(images, kernel, stride):
    """`[b h w c]` by `[k k c n]` without padding."""
    size = kernel.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    return np.einsum("bhwcyx,yxcn->bhwn", windows[:, ::stride, ::stride], kernel)


def archive(content, name="classify_image_graph_def.pb"):
    """A `.tgz` as bytes, with the graph second."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tgz:
        for member, data in (("./LICENSE", b"words"), (f"./{name}", content)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tgz.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
