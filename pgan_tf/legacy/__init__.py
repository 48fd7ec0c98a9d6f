"""The original's network files, read safely and converted to this project's networks.

Imports runs and all below it. Begin with `network_file.py` for reading and `importing.py` for
converting.
"""

from pgan_tf.legacy.network_file import OriginalNetworks, read_networks
from pgan_tf.legacy.original_network import OriginalNetwork

__all__ = ["OriginalNetwork", "OriginalNetworks", "read_networks"]
