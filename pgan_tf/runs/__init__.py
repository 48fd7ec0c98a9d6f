"""The run directory: its files, checkpoints, saved generators and grids.

Imports step and all below it. Begin with `run_directory.py`.
"""
