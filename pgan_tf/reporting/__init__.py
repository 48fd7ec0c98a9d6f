"""Output of a run while it trains: TensorBoard, `metrics.jsonl`, grids, progress lines, profiles.

Begin with `reporter.py`, which decides when something is due. `summaries.py` writes it,
`scalars.py` averages the scalars of a tick, and `grid_samples.py` chooses the samples of the grids.
`wandb_mirror.py` lets Weights & Biases follow.
Imports exporting and all below it.
"""
