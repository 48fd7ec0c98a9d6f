"""A meeting of all workers before TensorFlow connects them. Standard library only.

TensorFlow waits for all workers in one call, which Ctrl-C cannot interrupt. So the chief first
listens at its own address until every other worker has connected, tells them to go, and leaves the
address to TensorFlow.
"""

import contextlib
import socket
import struct
import time

from pgan_tf.distribution.cluster import Cluster
from tfrecords_tools.errors import UserError

_RETRY_SECONDS = 0.5
_INDEX = struct.Struct("!4sI")
_HELLO, _GO = b"pgan", b"go"


def meet(cluster: Cluster) -> None:
    """Wait until all workers of a cluster have called this function.

    Raises:
      UserError: the chief can't listen at its address.
    """
    host, _, port = cluster.addresses[0].rpartition(":")
    if cluster.is_chief:
        _wait_for_others(cluster, int(port))
    else:
        _connect_to_chief(cluster, host.strip("[]"), int(port))


def _wait_for_others(cluster: Cluster, port: int) -> None:
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(_listen(port))
        except OSError as error:
            raise UserError(
                f"worker 0 can't listen at its address {cluster.addresses[0]} in TF_CONFIG: "
                f"{error.strerror}"
            ) from error
        connections: dict[int, socket.socket] = {}  # by the worker's number
        while len(connections) < cluster.count - 1:
            connection, _ = listener.accept()
            connection.settimeout(_RETRY_SECONDS)
            with contextlib.suppress(OSError, struct.error):
                hello, index = _INDEX.unpack(connection.recv(_INDEX.size, socket.MSG_WAITALL))
                if hello == _HELLO and 0 < index < cluster.count:
                    # A worker that was restarted connects again: the newest connection counts.
                    connections[index] = stack.enter_context(connection)
            connections = {i: other for i, other in connections.items() if _is_open(other)}
        for connection in connections.values():
            connection.sendall(_GO)


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _is_open(connection: socket.socket) -> bool:
    """Return whether the worker at the other end is still waiting."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _connect_to_chief(cluster: Cluster, host: str, port: int) -> None:
    while True:
        try:
            with socket.create_connection((host, port), timeout=10 * _RETRY_SECONDS) as chief:
                chief.settimeout(None)
                chief.sendall(_INDEX.pack(_HELLO, cluster.index))
                if chief.recv(len(_GO), socket.MSG_WAITALL) == _GO:
                    return
        except OSError:
            pass  # the chief has not started yet, or was restarted
        time.sleep(_RETRY_SECONDS)
