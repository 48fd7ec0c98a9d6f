"""The processes and devices that train: cluster, rendezvous, strategy.

`cluster.py` reads TF_CONFIG, `rendezvous.py` has the workers wait for each other, and `strategy.py`
chooses devices and holds the collectives that the trainer needs. The first two use the standard
library only. Imports no room but config. Begin with `strategy.py`.
"""
