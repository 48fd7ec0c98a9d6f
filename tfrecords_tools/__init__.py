"""Multi-resolution TFRecord pyramids: the format, its sources, its writer. Needs no TensorFlow."""
