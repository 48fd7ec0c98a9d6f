"""The generator and the discriminator, the table of their layers, and what a step of them costs.

Both networks create every layer of every resolution at once. A stage of training only selects which
of them a call runs through: `resolution` says how far, `alpha` whether the last step is fading in.
So growing never changes the state, and nothing else needs to know that it happens. Tensors are
NHWC; images are in [-1, 1].

Imports layers and config. Begin with `layer_table.py`, which both networks are made from. The table
and the costs need no TensorFlow.
"""
