"""Findings about a run in progress: what goes wrong, since when, and what to change.

Begin with `doctor.py`. At each tick it adds the tick's scalars to the run's history and asks every
check of `checks.py`; a check is a function of that history, in a module of its subject
(`overfitting.py`, `variety.py`, `balance.py`, `penalties.py`, `averages.py`, `convergence.py`,
`updates.py`). `courses.py` decides when what a check sees becomes a finding, `measurements.py`
takes figures of both networks that training itself does not need, and `remedies.py` makes commands.
Imports metrics, runs and all below them.
"""
