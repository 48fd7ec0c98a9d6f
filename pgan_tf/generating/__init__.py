"""Pictures and videos of a saved generator, and videos of a run's training.

Begin with `sampler.py`, a loaded generator. `pictures.py`, `direction_sheet.py` and `video.py`
write its images; `latents.py`, `directions.py` and `truncation.py` hold the math. `timelapse.py`
makes a video of a run's grids.
Imports legacy and all below it.
"""
