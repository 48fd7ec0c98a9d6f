"""A pyramid, local or remote, as batches.

Imports distribution, config and the pyramid format. Begin with `dataset.py`; `memory/` holds
buffers.
"""
