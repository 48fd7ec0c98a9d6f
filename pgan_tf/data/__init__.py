"""A pyramid, local or remote, as batches.

Imports distribution, config and the pyramid format (`tfrecords_tools.format`). Begin with
`dataset.py`, which training uses. `worker_data.py` says which images a worker is shown, and
`order.py` when; `batches.py` reads from a disk; `remote.py` and `streaming.py` read from a URL.
`memory/` holds buffers and read-ahead.
"""
