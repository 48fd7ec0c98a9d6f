"""The Keras layers that both networks are assembled from, one a file.

Imports config alone. `kernels/` holds how convolutions are computed. Begin with
`equalized_conv2d.py`.
"""

import keras

from pgan_tf.config.network import RELU_GAIN
from pgan_tf.layers.batch_norm import BatchNorm
from pgan_tf.layers.channel_bias import ChannelBias
from pgan_tf.layers.equalized_conv2d import EqualizedConv2D
from pgan_tf.layers.equalized_dense import EqualizedDense
from pgan_tf.layers.kernels.resampling_convolution import transposed_kernel
from pgan_tf.layers.layer_norm import LayerNorm
from pgan_tf.layers.leaky_relu import LeakyReLU, leaky_relu
from pgan_tf.layers.minibatch_discrimination import MinibatchDiscrimination
from pgan_tf.layers.minibatch_stddev import MinibatchStdDev
from pgan_tf.layers.pixel_norm import PixelNorm
from pgan_tf.layers.resample import DownScale2D, UpScale2D, downscale2d, upscale2d
from pgan_tf.layers.weighted_sum import WeightedSum

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "pgan_tf trains with Keras on TensorFlow: set the environment variable KERAS_BACKEND to "
        f"tensorflow. Received: {keras.backend.backend()}"
    )

__all__ = [
    "RELU_GAIN",
    "BatchNorm",
    "ChannelBias",
    "DownScale2D",
    "EqualizedConv2D",
    "EqualizedDense",
    "LayerNorm",
    "LeakyReLU",
    "MinibatchDiscrimination",
    "MinibatchStdDev",
    "PixelNorm",
    "UpScale2D",
    "WeightedSum",
    "downscale2d",
    "leaky_relu",
    "transposed_kernel",
    "upscale2d",
]
