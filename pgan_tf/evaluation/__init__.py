"""Metrics of generators, or of sets of images, against data: `pgan-evaluate`, and in training.

One flow: `opening.py` opens both sides at one size (`kinds.py`, `sizes.py`): saved generators
(`snapshots.py`) and stored sets (`image_sets.py`, `file_images.py`, `stored_selection.py`);
`images.py` reads reals and fakes, which `replicated_generator.py` generates; `extraction.py`
extracts features of both, and `feature_cache.py` keeps those of the reals; `catalog.py` lists the
metrics, whose values and spreads `comparisons.py` and `by_class.py` make out of two sets of
features, the latter with the labels of `class_labels.py`. `evaluator.py` joins these.
`neighbors.py` compares fakes with all training images, by the vectors of `neighbor_spaces.py`, and
`neighbor_sheet.py` draws what it finds. `results.py`, `tables.py` and `curves.py` write the values.
Begin with `evaluate.py`, the command, or `in_training.py`. It imports metrics, runs and below.
"""
