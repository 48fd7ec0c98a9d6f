import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from pgan_tf.distribution.cluster import ALONE, Cluster
from pgan_tf.training.supervision import Interrupts, Supervisor
from tests.helpers.tiny import step_result

TWO = Cluster(1, 2)


def result(*, discriminator=0.0, generator=0.0, stop_flags=(0.0, 0.0, 0.0)):
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


def look_at(watching, *results):
    for each in results:
        watching.look_at(each)
    return watching


def test_a_process_alone_stops_at_once():
    assert supervisor().stop_signal() is None
    assert supervisor(received=signal.SIGINT).stop_signal() == signal.SIGINT


@pytest.mark.parametrize(
    ("stop_flags", "expected"),
    [
        *(((0, 0, 0), None), ((2, 0, 0), signal.SIGINT), ((0, 1, 0), signal.SIGTERM)),
        *(((1, 1, 0), signal.SIGINT), ((0, 0, 1), signal.SIGHUP)),
    ],
)
def test_workers_stop_when_all_of_them_know_of_a_signal(stop_flags, expected):
    # Its own signal counts only once all have heard of it.
    watching = supervisor(TWO, received=signal.SIGTERM)
    assert watching.stop_flags() == [0.0, 1.0, 0.0]
    look_at(watching, result())
    assert watching.stop_signal() is None
    look_at(watching, result(stop_flags=tuple(map(float, stop_flags))), result())
    assert watching.stop_signal() == expected


def test_a_run_must_not_end_in_nothing_but_skipped_updates():
    watching = look_at(supervisor(), *[result(discriminator=1.0)] * 2)
    assert watching.skipped_to_the_end(healthy_before=False) == 2
    assert watching.skipped_to_the_end(healthy_before=True) == 0
    look_at(watching, *[result(discriminator=1.0)] * 48)
    assert watching.skipped_to_the_end(healthy_before=True) == 50
    look_at(watching, result(), result(discriminator=1.0))
    assert watching.skipped_to_the_end(healthy_before=False) == 0


def test_one_good_update_at_the_start_does_not_make_a_run_of_skipped_ones_good():
    watching = look_at(supervisor(), result(), *[result(discriminator=1.0)] * 5)
    assert watching.skipped_to_the_end(healthy_before=False) == 5
    look_at(watching, *[result()] * 6, result(discriminator=1.0))
    assert watching.skipped_to_the_end(healthy_before=False) == 0


def test_skipped_updates_are_counted_from_the_start_of_the_process():
    alone = step_result({"updates/discriminator_skipped": 0.0})
    watching = look_at(supervisor(), result(generator=[1.0, 0.0, 1.0]), alone)
    watching.restart()
    look_at(watching, result(discriminator=1.0), result())
    assert (watching.skipped, watching.updates) == (3, 6)


def test_updates_skipped_in_a_row_are_counted_whichever_network_they_are_of():
    watching = look_at(supervisor(), result(discriminator=1.0), result(generator=1.0))
    assert not watching.healthy
    look_at(watching, result())
    assert watching.healthy
    look_at(watching, result(discriminator=1.0), result(generator=1.0))
    assert not watching.should_go_back
    look_at(watching, result(generator=1.0))
    assert watching.should_go_back


def test_a_step_without_the_generator_neither_counts_for_it_nor_clears_it():
    watching = supervisor()
    alone = step_result({"updates/discriminator_skipped": 0.0})
    look_at(watching, alone, result(generator=1.0), alone, result(generator=1.0), alone, alone)
    assert not watching.healthy
    assert not watching.should_go_back
    look_at(watching, result(generator=1.0))
    assert watching.should_go_back


def test_counting_starts_over_after_going_back():
    watching = look_at(supervisor(max_skipped_updates=1), result(generator=1.0))
    assert watching.should_go_back
    watching.restart()
    look_at(watching, result(), result())
    assert watching.healthy
    assert not watching.should_go_back


def test_the_steps_of_a_call_are_counted_one_by_one():
    # Two in a row, none, then one at the end of a call and two at the beginning of the next.
    watching = look_at(supervisor(), result(generator=[0.0, 1.0, 1.0, 0.0]))
    assert watching.healthy
    look_at(watching, result(generator=[0.0, 0.0, 0.0, 1.0]))
    assert not watching.healthy
    look_at(watching, result(generator=[1.0, 1.0, 0.0, 0.0]))
    assert watching.should_go_back
    # Finite again, but after too many.
    assert not watching.healthy


def test_zero_never_goes_back():
    watching = look_at(supervisor(max_skipped_updates=0), *[result(generator=1.0)] * 100)
    assert not watching.should_go_back


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_is_recorded_unless_the_process_began_deaf_to_it(ignored):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
        assert interrupts.received == (None if ignored else signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_outlives_its_terminal(tmp_path):
    code = (
        "import os, sys, time\n"
        "from pgan_tf.training.supervision import Interrupts\n"
        "with Interrupts() as interrupts:\n"
        "    print('ready', flush=True)\n"
        "    for _ in range(600):\n"
        "        if interrupts.received: break\n"
        "        time.sleep(0.05)\n"
        "    print('saving', flush=True)\n"
        "    print('a warning', file=sys.stderr, flush=True)\n"
        "open(sys.argv[1], 'w').write(interrupts.received.name)\n"
    )
    master, slave = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", sys.executable, "-c", code, str(tmp_path / "saved")],
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    said = b""
    while b"ready" not in said:
        said += os.read(master, 1000)
    os.close(master)
    assert process.wait(60) == 0
    assert (tmp_path / "saved").read_text() == "SIGHUP"
