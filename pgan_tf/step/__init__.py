"""One training iteration as a graph.

Losses, gradients, the optimizer, loss scales, noise, reals, microbatches, and the training state.
Imports networks and all below it. Begin with `step.py`.
"""
