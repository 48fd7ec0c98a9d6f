"""Settings of all tests."""

import os

import hypothesis

# XLA compiles tiny networks in two thirds of the time, and their few steps are no slower for it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# No deadlines: a busy machine is no fault of the code.
hypothesis.settings.register_profile("pgan_tf", deadline=None)
hypothesis.settings.load_profile("pgan_tf")
