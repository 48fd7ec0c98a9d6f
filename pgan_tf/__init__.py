"""A TensorFlow 2 / Keras 3 distributed trainer for Progressive Growing of GANs."""
