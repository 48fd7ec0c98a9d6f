"""Which processes and devices train: the cluster, the rendezvous, the strategy.

Imports config alone. Begin with `strategy.py`.
"""
