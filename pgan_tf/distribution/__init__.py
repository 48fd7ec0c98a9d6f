"""The processes and devices that train: cluster, rendezvous, strategy, and GPUs.

`cluster.py` reads TF_CONFIG, `rendezvous.py` has the workers wait for each other, and `strategy.py`
chooses devices and holds the collectives that the trainer needs. The first two and
`xla_environment.py`, which sets XLA's options and cache before TensorFlow is imported, need no
TensorFlow. `devices.py` sets GPUs up, `out_of_memory.py` recognizes when their memory runs out,
`unused_gpu.py` says why TensorFlow sees none, and `xla_probe.py` tries XLA where it may end the
process. Imports no room but config. Begin with `strategy.py`.
"""
