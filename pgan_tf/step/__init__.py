"""One training iteration as a graph: a discriminator step, the moving average, a generator step.

Begin with `iteration.py`, which says what a replica computes, in order. `step.py` makes a graph of
it for all replicas, from `inputs.py` to `outputs.py`. The iteration is made of gradients
(`gradients.py`) of losses (`adversarial.py`, from the formulas in `losses.py`), applied by
`optimizer.py`, to variables that `train_state.py` holds. The discriminator sees the images of
`reals.py`; all random numbers come from `noise.py`. `compilation.py` says what XLA compiles.
Options of an iteration are `loss_scale.py` (float16), `microbatches.py`, `augmented.py` with
`adaptive_strength.py`, `discriminator_noise.py` (appendix B), and `power_average.py`.

Imports augmentation, networks, layers, distribution and config.
"""
