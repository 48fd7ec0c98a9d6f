"""The training loop and what surrounds it.

Checks before a run, agreement between workers, initialization, fine-tuning, feeding, supervision.
Imports reporting and all below it. Begin with `loop.py`.
"""
