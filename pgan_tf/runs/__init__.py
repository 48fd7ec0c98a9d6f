"""The run directory: its files, checkpoints, metrics log, saved generators and grids.

Begin with `run_directory.py`, which names every file. `averages.py` makes an average of any length
after training, by the formulas in `power_profiles.py`. Checkpoints are here rather than in
training, because rooms below it save and read them too: reporting saves them as a run goes on, and
legacy writes one from imported networks. Imports step and all below it.
"""
