"""The generator and the discriminator (appendix A, table 2), assembled from shared layers.

Both create every layer of every resolution at once. A stage of training only selects which of them
a call runs through: `resolution` says how far, `alpha` whether the last step is fading in. So
growing never changes the state, and nothing else needs to know that it happens.

Tensors are NHWC; images are in [-1, 1].
"""

from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import LATENT_NORM, Generator

__all__ = ["LATENT_NORM", "Discriminator", "Generator"]
