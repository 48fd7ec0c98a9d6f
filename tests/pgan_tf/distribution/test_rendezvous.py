import contextlib
import resource
import select
import socket
import threading
import time

import pytest

from pgan_tf.distribution import rendezvous
from pgan_tf.distribution.cluster import Cluster
from tfrecords_tools.errors import UserError


@pytest.fixture
def addresses(monkeypatch):
    monkeypatch.setattr(rendezvous, "_RETRY_SECONDS", 0.05)
    monkeypatch.setenv(rendezvous.TOKEN_VARIABLE, "the secret of this test")
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


def call(addresses):
    """Return a connection to the chief, once it listens."""
    host, _, port = addresses[0].rpartition(":")
    for _ in range(500):
        with contextlib.suppress(OSError):
            return socket.create_connection((host, int(port)), timeout=5)
        time.sleep(0.01)
    raise AssertionError("the chief does not listen")


def greet(addresses, index, token="the secret of this test"):
    """Return a connection over which a worker has introduced itself."""
    caller = call(addresses)
    key = rendezvous.shared_key(Cluster(1, 3, addresses), {rendezvous.TOKEN_VARIABLE: token})
    _, nonce = rendezvous._GREETING.unpack(caller.recv(64))
    code = rendezvous._code(key, b"hello", nonce, bytes(16), index)
    caller.sendall(rendezvous._HELLO.pack(b"pgn2", index, bytes(16), code))
    return caller


def all_meet(*meetings):
    for meeting in meetings:
        meeting.join(10)
        assert not meeting.is_alive()


def test_a_worker_that_left_while_waiting_is_waited_for_again(addresses):
    chief = start(addresses, 0)
    greet(addresses, 1).close()
    second = start(addresses, 2)
    second.join(0.5)
    assert chief.is_alive()
    assert second.is_alive()
    all_meet(chief, second, start(addresses, 1))


def test_the_newest_connection_of_a_worker_counts_and_older_ones_are_closed(addresses):
    chief = start(addresses, 0)
    old = greet(addresses, 1)
    with greet(addresses, 1) as new:
        assert old.recv(1) == b""
        assert not select.select([new], [], [], 0.2)[0]
        all_meet(chief, start(addresses, 2))


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"pgan\0\0\0\1", b"\xff" * 100_000])
def test_other_callers_are_ignored(addresses, said):
    chief = start(addresses, 0)
    with call(addresses) as stranger, contextlib.suppress(OSError):
        stranger.sendall(said)
    all_meet(chief, start(addresses, 1), start(addresses, 2))


def test_a_wrong_token_is_refused_and_counted_and_takes_nobodys_place(addresses, caplog):
    chief = start(addresses, 0)
    first = start(addresses, 1)
    with greet(addresses, 2, token="a guess") as stranger:
        assert stranger.recv(64) == rendezvous._REFUSED
        first.join(0.2)
        assert chief.is_alive() and first.is_alive()
    assert "refused 1 caller(s) with another token" in caplog.text
    all_meet(chief, first, start(addresses, 2))


def test_a_chief_without_the_token_cannot_tell_workers_to_go(addresses):
    port = int(addresses[0].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)) as listener:
        worker = start(addresses, 1)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(rendezvous._GREETING.pack(b"pgn2", bytes(16)))
            connection.recv(64)
            connection.sendall(b"x" * 32)
            worker.join(0.3)
            assert worker.is_alive()
    all_meet(worker, start(addresses, 0), start(addresses, 2))


def test_silent_callers_neither_delay_the_meeting_nor_use_up_descriptors(addresses, monkeypatch):
    monkeypatch.setattr(rendezvous, "_MAX_UNKNOWN", 8)
    chief = start(addresses, 0)
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(call(addresses)) for _ in range(50)]
        begin = time.monotonic()
        all_meet(chief, start(addresses, 1), start(addresses, 2))
        assert time.monotonic() - begin < 3
        for caller in callers[:40]:  # greeted, then dropped
            with contextlib.suppress(ConnectionResetError):
                assert caller.recv(64) and not caller.recv(64)


def test_the_meeting_outlives_a_lack_of_descriptors(addresses):
    chief = start(addresses, 0)
    with call(addresses) as first:
        assert first.recv(64)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        callers = [socket.socket() for _ in range(3)]
        try:
            # The chief shares this process's limit: it has not one more.
            resource.setrlimit(resource.RLIMIT_NOFILE, (callers[-1].fileno(), limits[1]))
            host, _, port = addresses[0].rpartition(":")
            for caller in callers:
                caller.connect((host, int(port)))
            time.sleep(0.3)
            assert chief.is_alive()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for caller in callers:
                caller.close()
    all_meet(chief, start(addresses, 1), start(addresses, 2))


def test_the_chief_listens_at_the_named_address_only(addresses):
    chief = start(addresses, 0)
    call(addresses).close()
    port = int(addresses[0].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):  # of all interfaces, the loopback's second address
        socket.create_connection(("127.0.0.2", port))
    all_meet(chief, start(addresses, 1), start(addresses, 2))


def test_a_host_that_is_elsewhere_is_an_error():
    # An address of documentation, which no machine has.
    with pytest.raises(UserError, match=r"worker 0 can't listen at its address 192\.0\.2\.1:2222"):
        rendezvous.meet(Cluster(0, 2, ("192.0.2.1:2222", "192.0.2.2:2222")))


def test_a_name_that_a_system_maps_to_itself_is_where_it_reaches_others(monkeypatch):
    # As /etc/hosts of Debian maps a machine's own name. The kernel routes a loopback address there.
    known = {"me": "127.0.1.1", "other": "192.0.2.7", "localhost": "127.0.0.1"}

    def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (known[host], port))]

    class Probe(socket.socket):
        def connect(self, address):
            assert address[0] == "192.0.2.7"

        def getsockname(self):
            return ("192.0.2.1", 40000)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "socket", Probe)
    found = rendezvous._local_addresses(Cluster(0, 2, ("me:1", "other:1")), "me", 1)
    assert found == [(socket.AF_INET, ("192.0.2.1", 1))]
    alone = rendezvous._local_addresses(Cluster(0, 2, ("me:1", "localhost:2")), "me", 1)
    assert alone == [(socket.AF_INET, ("127.0.1.1", 1))]


def test_the_token_comes_from_the_environment_or_a_file_of_the_user(tmp_path):
    cluster = Cluster(1, 2, ("localhost:1", "localhost:2"))
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    without = rendezvous.shared_key(cluster, environment)
    (tmp_path / "pgan_tf").mkdir()
    (tmp_path / "pgan_tf" / "token").write_text("secret\n")
    with_file = rendezvous.shared_key(cluster, environment)
    assert without != with_file
    assert with_file == rendezvous.shared_key(cluster, {rendezvous.TOKEN_VARIABLE: "secret"})
    other = Cluster(1, 2, ("localhost:1", "localhost:3"))
    assert with_file != rendezvous.shared_key(other, environment)


def test_strangers_can_enter_without_a_token_which_is_said(tmp_path, caplog):
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    rendezvous.shared_key(Cluster(0, 2, ("localhost:1", "localhost:2")), environment)
    assert not caplog.text
    rendezvous.shared_key(Cluster(0, 2, ("host0:1", "host1:1")), environment)
    assert "set PGAN_TF_TOKEN to the same secret" in caplog.text


def test_an_address_in_use_is_an_error(addresses):
    port = int(addresses[0].rpartition(":")[2])
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UserError, match=f"worker 0 can't listen at its address 127.0.0.1:{port}"),
    ):
        rendezvous.meet(Cluster(0, 3, addresses))
