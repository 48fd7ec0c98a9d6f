"""Settings of all tests."""

import errno
import fcntl
import gc
import os

import hypothesis
import pytest

from tfrecords_tools.files import locks

# XLA compiles tiny networks in two thirds of the time, and their few steps are no slower for it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# Tracing graphs allocates many objects: to collect garbage as often as usual takes 6 % of the time.
gc.set_threshold(50_000, 10, 10)

# No deadlines: a busy machine is no fault of the code.
hypothesis.settings.register_profile("pgan_tf", deadline=None)
hypothesis.settings.load_profile("pgan_tf")


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def no_locks(request, monkeypatch):
    """A file system that has no locks."""

    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)
    locks._warn.cache_clear()
