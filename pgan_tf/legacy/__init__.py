"""Reading the original's network files: pickles, of which nothing is executed."""

from pgan_tf.legacy.network_file import OriginalNetworks, read_networks
from pgan_tf.legacy.original_network import OriginalNetwork

__all__ = ["OriginalNetwork", "OriginalNetworks", "read_networks"]
