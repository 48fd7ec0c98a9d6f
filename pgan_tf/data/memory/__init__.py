"""Memory that batches are read into and handed to TensorFlow in, without copies."""
