"""The Keras layers of both networks, registered under `pgan_tf`, so that saved models load.

Layers hold weights and say what they compute; `kernels/` holds how it is computed fast. Imports
config alone. Begin with `equalized.py`.
"""

import keras

from pgan_tf.config.network import RELU_GAIN
from pgan_tf.layers.activation import LeakyReLU, PixelNorm
from pgan_tf.layers.equalized import ChannelBias, EqualizedConv2D, EqualizedDense
from pgan_tf.layers.growing import DownScale2D, UpScale2D, WeightedSum
from pgan_tf.layers.kernels.custom_gradients import leaky_relu
from pgan_tf.layers.kernels.resampling import downscale2d, transposed_kernel, upscale2d
from pgan_tf.layers.minibatch import MinibatchDiscrimination, MinibatchStdDev
from pgan_tf.layers.normalization import BatchNorm, LayerNorm

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
