import signal

import numpy as np
import pytest

from pgan_tf.distribution.cluster import ALONE, Cluster
from pgan_tf.training.supervision import Interrupts, Supervisor, TooManySkippedError
from tests.helpers.tiny import step_result

TWO = Cluster(1, 2)


def result(*, discriminator=0.0, generator=0.0, stop_flags=(0.0, 0.0)):
    metrics = {
        "loss/generator": np.nan + np.zeros_like(generator),
        "updates/discriminator_skipped": discriminator + np.zeros_like(generator),
        "updates/generator_skipped": generator,
    }
    return step_result(metrics, stop_flags)


def supervisor(cluster=ALONE, *, received=None, max_skipped_updates=3):
    interrupts = Interrupts()
    interrupts.received = received
    return Supervisor(cluster, interrupts, max_skipped_updates=max_skipped_updates)


def test_a_process_alone_stops_at_once():
    assert supervisor().check(result()) is None
    assert supervisor(received=signal.SIGINT).check(result()) == signal.SIGINT


@pytest.mark.parametrize(
    ("stop_flags", "expected"),
    [((0, 0), None), ((2, 0), signal.SIGINT), ((0, 1), signal.SIGTERM), ((1, 1), signal.SIGINT)],
)
def test_workers_stop_one_step_after_any_of_them_received_a_signal(stop_flags, expected):
    # Its own signal counts only once all have heard of it.
    watching = supervisor(TWO, received=signal.SIGTERM)
    assert watching.stop_flags() == [0.0, 1.0]
    assert watching.check(result(stop_flags=tuple(map(float, stop_flags)))) is None
    assert watching.check(result()) == expected


def test_updates_skipped_in_a_row_are_counted_whichever_network_they_are_of():
    watching = supervisor()
    for outcome in (result(discriminator=1.0), result(generator=1.0), result()):
        assert watching.check(outcome) is None
    assert not watching.healthy()  # the last one is not looked at yet
    watching.check(result(discriminator=1.0))
    assert watching.healthy()
    for _ in range(2):
        watching.check(result(generator=1.0))
    with pytest.raises(TooManySkippedError):
        watching.check(result())


def test_a_step_without_the_generator_neither_counts_for_it_nor_clears_it():
    watching = supervisor()
    alone = step_result({"updates/discriminator_skipped": 0.0})
    for outcome in (alone, result(generator=1.0), alone, result(generator=1.0), alone, alone):
        assert watching.check(outcome) is None
        assert watching.healthy() == (watching._skips.in_a_row == 0)
    assert watching._skips.in_a_row == 2
    watching.check(result(generator=1.0))
    with pytest.raises(TooManySkippedError):
        watching.check(alone)


def test_counting_starts_over_after_going_back():
    watching = supervisor(max_skipped_updates=1)
    watching.check(result(generator=1.0))
    watching.restart()
    assert watching.check(result()) is None
    assert watching.check(result()) is None
    assert watching.healthy()


def test_the_steps_of_a_call_are_counted_one_by_one():
    watching = supervisor()
    # Two in a row, none, then one at the end of a call and two at the beginning of the next.
    for outcomes in ([0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]):
        watching.check(result(generator=outcomes))
        # The call's own steps but the last are looked at when it matters; those of the third are
        # finite again, but after too many.
        assert watching.healthy() == (outcomes == [0.0, 0.0, 0.0, 1.0])
    with pytest.raises(TooManySkippedError):
        watching.check(result())


def test_zero_never_goes_back():
    watching = supervisor(max_skipped_updates=0)
    for _ in range(100):
        watching.check(result(generator=1.0))
