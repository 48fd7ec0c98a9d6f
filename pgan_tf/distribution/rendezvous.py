"""Several processes meet before TensorFlow connects them, so that waiting can be interrupted.

TensorFlow waits for all workers in one call that hears no signal. So the chief first listens at its
own address until every other worker has called there, tells them to go on, and leaves the address
to TensorFlow. Standard library only.
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
    """Returns once all workers of a cluster have called it.

    Raises:
      UserError: the chief's address can't be listened at.
    """
    host, _, port = cluster.addresses[0].rpartition(":")
    if cluster.is_chief:
        _wait_for_others(cluster, int(port))
    else:
        _call_chief(cluster, host.strip("[]"), int(port))


def _wait_for_others(cluster: Cluster, port: int) -> None:
    with contextlib.ExitStack() as stack:
        try:
            listening = stack.enter_context(_listen(port))
        except OSError as error:
            raise UserError(
                f"worker 0 can't listen at its address {cluster.addresses[0]} in TF_CONFIG: "
                f"{error.strerror}"
            ) from error
        callers: dict[int, socket.socket] = {}
        while len(callers) < cluster.count - 1:
            caller, _ = listening.accept()
            caller.settimeout(_RETRY_SECONDS)
            with contextlib.suppress(OSError, struct.error):
                hello, index = _INDEX.unpack(caller.recv(_INDEX.size, socket.MSG_WAITALL))
                if hello == _HELLO and 0 < index < cluster.count:
                    # One that calls again has been started again.
                    callers[index] = stack.enter_context(caller)
            callers = {index: other for index, other in callers.items() if _is_there(other)}
        for caller in callers.values():
            caller.sendall(_GO)


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _is_there(caller: socket.socket) -> bool:
    """Whether a worker that has called still waits."""
    caller.setblocking(False)
    try:
        return bool(caller.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _call_chief(cluster: Cluster, host: str, port: int) -> None:
    while True:
        try:
            with socket.create_connection((host, port), timeout=10 * _RETRY_SECONDS) as calling:
                calling.settimeout(None)
                calling.sendall(_INDEX.pack(_HELLO, cluster.index))
                if calling.recv(len(_GO), socket.MSG_WAITALL) == _GO:
                    return
        except OSError:
            pass  # it is not there yet, or was started again
        time.sleep(_RETRY_SECONDS)
