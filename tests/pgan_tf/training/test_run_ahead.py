"""Results of calls that are started before earlier ones are done."""

import threading
import time

import numpy as np
import pytest

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.training import feeding, loop
from pgan_tf.training.feeding import Call
from pgan_tf.training.run_ahead import RunAhead
from tests.helpers.tiny import step_result, tiny_config
from tfrecords_tools.errors import UserError


def start_calls(ahead, read, count):
    step = next(Schedule(ScheduleConfig(), 4).steps())

    class Result:
        def __init__(self, number):
            self.number = number

        def read(self):
            read(self.number)
            return self

    for number in range(count):
        call = Call([step], None, data_wait=0.0)
        ahead.start(
            call, lambda number=number: Result(number), started=time.monotonic(), makes_graph=False
        )
        yield [finished.result.number for finished in ahead.finished(everything=False)]


def test_on_gpus_four_calls_may_be_unfinished(one_device, as_on_gpus):
    gates = [threading.Event() for _ in range(7)]
    with RunAhead(one_device) as ahead:
        looked_at = start_calls(ahead, lambda number: gates[number].wait(10), 7)
        assert [next(looked_at) for _ in range(4)] == [[], [], [], []]
        gates[1].set()  # out of order
        gates[0].set()
        assert [next(looked_at), next(looked_at)] == [[0], [1]]
        for gate in gates:
            gate.set()
        assert next(looked_at) == [2]
        assert [f.result.number for f in ahead.finished(everything=True)] == [3, 4, 5, 6]


def test_on_cpus_one_call_is_looked_at_after_the_next(one_device):
    with RunAhead(one_device) as ahead:
        assert list(start_calls(ahead, lambda number: None, 3)) == [[], [0], [1]]
        assert [f.result.number for f in ahead.finished(everything=True)] == [2]


def test_an_error_of_a_device_is_raised_where_its_call_is_looked_at(one_device, as_on_gpus):
    def fail(number):
        if number == 0:
            raise UserError("broken")

    with RunAhead(one_device) as ahead:
        looked_at = start_calls(ahead, fail, 5)
        assert [next(looked_at) for _ in range(4)] == [[], [], [], []]
        with pytest.raises(UserError, match="broken"):
            next(looked_at)


@pytest.mark.slow
def test_a_damaged_record_saves_and_reports_all_that_was_started(
    pyramid_dir, tmp_path, monkeypatch, as_on_gpus
):
    read = feeding.read_batches

    def damaged(*args, **kwargs):
        for step, batch in read(*args, **kwargs):
            if step.images_seen == 24:
                raise UserError("record 3 is damaged")
            yield step, batch

    monkeypatch.setattr(feeding, "read_batches", damaged)
    config = tiny_config(pyramid_dir, tmp_path / "run", checkpoint_kimg=9.0, tick_kimg=0.008)
    with pytest.raises(UserError, match="record 3 is damaged"):
        loop.train(config)
    assert (tmp_path / "run" / "checkpoints" / "state-000000024.index").exists()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3


def test_a_result_that_was_read_is_the_same_in_host_memory():
    result = step_result({"a": [1.0, 2.0], "b": [3.0, 4.0]}, stop_flags=(0.0, 2.0))
    read = result.read()
    assert isinstance(read.tensor, np.ndarray)
    assert read.last_scalars == result.last_scalars == {"a": 2.0, "b": 4.0}
    assert read.stop_flags.tolist() == [0.0, 2.0]
