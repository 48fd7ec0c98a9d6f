"""Latents of given pictures: found by following the gradient of a distance between images.

Begin with `projection.py`, the search for one picture. `distance.py` holds what is minimized,
`targets.py` reads the pictures, `project.py` runs the search for each and writes what was found.
Imports generating and all below it.
"""
