"""Metrics of generators against a pyramid, by `pgan-evaluate` and while training.

One flow: `snapshots.py` finds the saved generators; `images.py` reads reals and generates fakes;
`extraction.py` extracts features of both, and `feature_cache.py` keeps those of the reals;
`catalog.py` makes the values of each metric out of two sets of features. `evaluator.py` joins
these. `neighbors.py` compares fakes with all training images, by the vectors of
`neighbor_spaces.py`, and `neighbor_sheet.py` draws what it finds. `results.py` and `curves.py`
write the values. Begin with `evaluate.py`, the command, or `in_training.py`. Imports metrics, runs
and all below them.
"""
