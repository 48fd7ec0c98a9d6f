"""Arithmetic on tensors: how convolutions, biases and activations are computed fast.

Functions without weights or state: the same numbers as TensorFlow's plain operations, up to
rounding, in fewer multiplications or with cheaper gradients. What is chosen depends on the device
and on shapes. Nothing here is part of a network. Imports TensorFlow only. Begin with
`convolution.py`.
"""
