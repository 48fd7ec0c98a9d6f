import os

import pytest
import tensorflow as tf

from pgan_tf.reporting.profiler import Profiler
from pgan_tf.step.outputs import StepResult


def traces(directory):
    return sorted(directory.glob("plugins/profile/*/*.xplane.pb"))


def step():
    return StepResult(("loss",), tf.reduce_sum(tf.ones([8, 8]), keepdims=True))


def test_the_steps_asked_for_are_traced_and_no_others(tmp_path, capsys):
    with Profiler((2, 3), tmp_path) as profiler:
        for i in range(1, 5):
            assert profiler.run(step, 1).last_scalars["loss"] == 64
            assert len(traces(tmp_path)) == (1 if i >= 3 else 0)
    (trace,) = traces(tmp_path)
    assert "traced steps 2 to 3" in capsys.readouterr().out
    names = steps_of(trace)
    assert names == {2, 3}


def test_calls_of_several_steps_are_traced_whole(tmp_path, capsys):
    with Profiler((5, 6), tmp_path) as profiler:
        for call in range(1, 4):  # of 3 steps each: 5 and 6 are in the second
            profiler.run(step, 3)
            assert len(traces(tmp_path)) == (1 if call >= 2 else 0)
    assert steps_of(traces(tmp_path)[0]) == {4}
    assert "traced steps 4 to 6" in capsys.readouterr().out


def steps_of(trace):
    """The step numbers that a trace holds."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(trace.read_bytes())
    found = set()
    for plane in space.planes:
        stats = {i: m.name for i, m in plane.stat_metadata.items()}
        events = {i: m.name for i, m in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                if events[event.metadata_id] == "train":
                    found |= {s.int64_value or s.uint64_value for s in event.stats
                              if stats[s.metadata_id] == "step_num"}  # fmt: skip
    return found


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_a_run_that_ends_while_it_is_traced_still_writes_its_trace(tmp_path, error):
    try:
        with Profiler((1, 100), tmp_path) as profiler:
            profiler.run(step, 1)
            if error:
                raise error
    except (KeyboardInterrupt, ValueError) as raised:
        assert type(raised) is error
    assert len(traces(tmp_path)) == 1
    # The next one can begin: the one before was ended.
    with Profiler((1, 1), tmp_path / "other") as profiler:
        profiler.run(step, 1)
    assert len(traces(tmp_path / "other")) == 1


def test_without_steps_nothing_is_written(tmp_path):
    with Profiler(None, tmp_path) as profiler:
        profiler.run(step, 1)
    assert os.listdir(tmp_path) == []


def test_steps_that_were_never_reached_are_reported(tmp_path, caplog):
    with Profiler((5, 6), tmp_path) as profiler:
        profiler.run(step, 1)
    assert "--profile=5:6 traced nothing: this process took 1 steps" in caplog.text
