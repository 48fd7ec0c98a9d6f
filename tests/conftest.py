"""Settings of all tests."""

import hypothesis

# No deadlines: a busy machine is no fault of the code.
hypothesis.settings.register_profile("pgan_tf", deadline=None)
hypothesis.settings.load_profile("pgan_tf")
