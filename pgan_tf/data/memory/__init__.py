"""Memory and threads tuned for speed: read-ahead, buffers, tensors made without copies.

Knows nothing of pyramids. `read_ahead.py` keeps batches ready, `buffers.py` lets them use memory
again, `host_images.py` hands them to TensorFlow.
"""
