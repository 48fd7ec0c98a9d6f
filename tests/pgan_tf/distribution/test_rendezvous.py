import socket
import threading

import pytest

from pgan_tf.distribution import rendezvous
from pgan_tf.distribution.cluster import Cluster
from tfrecords_tools.errors import UserError


@pytest.fixture
def addresses(monkeypatch):
    monkeypatch.setattr(rendezvous, "_RETRY_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Only the chief listens.
    return (f"127.0.0.1:{port}", "127.0.0.1:1", "127.0.0.1:2")


def start(addresses, index):
    meeting = threading.Thread(
        target=rendezvous.meet, args=[Cluster(index, len(addresses), addresses)], daemon=True
    )
    meeting.start()
    return meeting


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_all_workers_continue_once_the_last_has_arrived(addresses, order):
    meetings = [start(addresses, index) for index in order[:-1]]
    for meeting in meetings:
        meeting.join(0.3)
        assert meeting.is_alive()
    meetings.append(start(addresses, order[-1]))
    for meeting in meetings:
        meeting.join(10)
        assert not meeting.is_alive()


def test_a_worker_that_left_while_waiting_is_waited_for_again(addresses):
    chief = start(addresses, 0)
    host, _, port = addresses[0].partition(":")
    while True:
        try:
            gone = socket.create_connection((host, int(port)))
            break
        except OSError:
            continue
    gone.sendall(rendezvous._INDEX.pack(b"pgan", 1))
    gone.close()
    second = start(addresses, 2)
    second.join(0.5)
    assert chief.is_alive()
    assert second.is_alive()
    again = start(addresses, 1)
    for meeting in (chief, second, again):
        meeting.join(10)
        assert not meeting.is_alive()


def test_other_callers_are_ignored(addresses):
    chief = start(addresses, 0)
    host, _, port = addresses[0].partition(":")
    while chief.is_alive():
        try:
            with socket.create_connection((host, int(port))) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            break
        except OSError:
            continue
    others = [start(addresses, 1), start(addresses, 2)]
    for meeting in (chief, *others):
        meeting.join(10)
        assert not meeting.is_alive()


def test_an_address_in_use_is_an_error(addresses):
    port = int(addresses[0].rpartition(":")[2])
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UserError, match=f"worker 0 can't listen at its address 127.0.0.1:{port}"),
    ):
        rendezvous.meet(Cluster(0, 3, addresses))
