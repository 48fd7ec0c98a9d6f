"""The original's network files, read safely and converted to this project's networks.

`tf_network.py` and `theano_network.py` read the two versions' networks, `options.py` their options;
`layout.py` maps their layers to rows of the layer table. Imports runs and all below it. Begin with
`network_file.py` for reading and `importing.py` for converting.
"""

from pgan_tf.legacy.network_file import OriginalNetworks, read_networks
from pgan_tf.legacy.original_network import OriginalNetwork

__all__ = ["OriginalNetwork", "OriginalNetworks", "read_networks"]
