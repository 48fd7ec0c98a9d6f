"""Fixtures of training tests."""

import random
import time

import pytest

from pgan_tf.step.outputs import StepResult
from pgan_tf.training import feeding, phase_graphs, run_ahead


@pytest.fixture
def as_on_gpus(monkeypatch):
    """Feed, prepare, run ahead and read in threads, as on GPUs; devices are slow at random."""
    monkeypatch.setattr(feeding, "is_on_gpus", lambda strategy: True)
    monkeypatch.setattr(run_ahead, "is_on_gpus", lambda strategy: True)
    monkeypatch.setattr(phase_graphs, "is_on_gpus", lambda strategy: True)
    read, delays = StepResult.read, random.Random(1)

    def read_slowly(self):
        time.sleep(delays.choice([0, 0, 0.02]))
        return read(self)

    monkeypatch.setattr(StepResult, "read", read_slowly)
