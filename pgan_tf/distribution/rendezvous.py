"""A meeting of all workers before TensorFlow connects them.

TensorFlow waits for all workers in one call, which Ctrl-C cannot interrupt. So the chief first
listens at its own address until every other worker has connected, tells them to go, and leaves the
address to TensorFlow.

All messages have a fixed length. The chief greets a caller with a nonce; a worker answers with its
number, a nonce of its own and a code of these under the shared token; the chief's code for that
nonce is the sign to go.
"""

import contextlib
import dataclasses
import enum
import errno
import hashlib
import hmac
import ipaddress
import os
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from absl import logging

from pgan_tf.distribution.cluster import VARIABLE, Cluster
from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.regular_file import open_regular

TOKEN_VARIABLE = "PGAN_TF_TOKEN"
_TOKEN_BYTES = 4096  # a longer file is cut

_RETRY_SECONDS = 0.5
# For a caller to say who it is, and for a worker to hear from the chief after it has connected.
_HELLO_SECONDS = 5.0
# Names of pods and nodes may appear some time after the process.
_RESOLVE_SECONDS = 60.0
# Callers that have not yet said who they are. Beyond these, the one that waits longest is dropped.
_MAX_UNKNOWN = 64

_MAGIC = b"pgn2"
_NONCE_BYTES = 16
_GREETING = struct.Struct(f"!4s{_NONCE_BYTES}s")
_HELLO = struct.Struct(f"!4sI{_NONCE_BYTES}s32s")
_REFUSED = bytes(32)  # in place of the code that means to go


def meet(cluster: Cluster) -> None:
    """Wait until all workers of a cluster have called this function.

    Raises:
      UserError: the chief can't listen at its address.
    """
    key = shared_key(cluster)
    if cluster.is_chief:
        with contextlib.ExitStack() as stack:
            listeners = [stack.enter_context(listener) for listener in _listen(cluster)]
            _Reception(cluster, key, listeners).wait_for_others()
    else:
        host, port = _split(cluster.addresses[0])
        _connect_to_chief(cluster.index, host, port, key)


def shared_key(cluster: Cluster, environment: Mapping[str, str] = os.environ) -> bytes:
    """Return the key by which workers of one cluster know each other.

    It is made from the cluster's addresses and the user's token: of the environment, or else of
    the file `pgan_tf/token` in the user's configuration directory. Without a token the key keeps
    clusters apart, but not strangers out.

    Raises:
      UserError: the file can't be read.
    """
    token = environment.get(TOKEN_VARIABLE, "").encode(errors="surrogateescape")
    if not token:
        home = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        path = Path(home, "pgan_tf", "token")
        try:
            if path.is_file():
                with open_regular(path) as file:
                    token = file.read(_TOKEN_BYTES).strip()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
    if not token and cluster.is_chief and not _is_loopback_name(_split(cluster.addresses[0])[0]):
        logging.warning(
            "workers meet without a token, so anybody who reaches %s can take a worker's place: "
            "set %s to the same secret in every process",
            cluster.addresses[0],
            TOKEN_VARIABLE,
        )
    return hashlib.sha256(b"\0".join([token, *map(str.encode, cluster.addresses)])).digest()


class _Answer(enum.Enum):
    """The chief's answer to a worker's hello."""

    GO = enum.auto()
    REFUSED = enum.auto()
    NONE = enum.auto()


@dataclasses.dataclass
class _Caller:
    """A connection to the chief.

    Attributes:
      connection: to it, not blocking.
      nonce: that it was greeted with.
      deadline: `time.monotonic()` by which it must have said who it is.
      received: the bytes of its hello so far.
      reply: the code that tells it to go, once it is known to be a worker.
    """

    connection: socket.socket
    nonce: bytes
    deadline: float
    received: bytes = b""
    reply: bytes = b""


class _Reception:
    """The chief's side: callers are served side by side, by one thread that never blocks on one."""

    def __init__(self, cluster: Cluster, key: bytes, listeners: Iterable[socket.socket]):
        self._cluster = cluster
        self._key = key
        self._selector = selectors.DefaultSelector()
        for listener in listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)
        self._unknown: list[_Caller] = []  # oldest first
        self._workers: dict[int, _Caller] = {}  # by number
        self._refused = 0

    def wait_for_others(self) -> None:
        """Return when every other worker is connected and has been told to go."""
        try:
            while len(self._workers) < self._cluster.count - 1:
                for key, _ in self._selector.select(_RETRY_SECONDS):
                    if key.data is None:
                        self._accept(key.fileobj)  # type: ignore[arg-type]
                    else:
                        self._read(key.data)
                now = time.monotonic()
                for caller in [c for c in self._unknown if c.deadline < now]:
                    self._drop(caller)
            for worker in self._workers.values():
                with contextlib.suppress(OSError):
                    worker.connection.sendall(worker.reply)
        finally:
            for caller in [*self._unknown, *self._workers.values()]:
                caller.connection.close()
            self._selector.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                if self._unknown:
                    self._drop(self._unknown[0])
                else:
                    time.sleep(_RETRY_SECONDS)
            return  # or the caller has gone
        connection.setblocking(False)
        deadline = time.monotonic() + _HELLO_SECONDS
        caller = _Caller(connection, secrets.token_bytes(_NONCE_BYTES), deadline)
        self._unknown.append(caller)
        self._selector.register(connection, selectors.EVENT_READ, caller)
        if len(self._unknown) > _MAX_UNKNOWN:
            self._drop(self._unknown[0])
        try:
            connection.sendall(_GREETING.pack(_MAGIC, caller.nonce))
        except OSError:
            self._drop(caller)

    def _read(self, caller: _Caller) -> None:
        if caller.connection.fileno() < 0:
            return  # dropped since the selector reported it
        try:
            received = caller.connection.recv(_HELLO.size - len(caller.received) or 1)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        # A worker that has introduced itself says nothing more: it waits, or has gone.
        if not received or caller.reply:
            self._drop(caller)
            return
        caller.received += received
        if len(caller.received) == _HELLO.size:
            self._introduce(caller)

    def _introduce(self, caller: _Caller) -> None:
        magic, index, nonce, code = _HELLO.unpack(caller.received)
        expected = _code(self._key, b"hello", caller.nonce, nonce, index)
        if magic != _MAGIC or not 0 < index < self._cluster.count:
            self._drop(caller)
        elif not hmac.compare_digest(code, expected):
            self._refuse(caller, index)
        else:
            caller.reply = _code(self._key, b"go", caller.nonce, nonce, index)
            # A worker that was restarted connects again: the newest connection counts.
            if index in self._workers:
                self._drop(self._workers[index])
            self._unknown.remove(caller)
            self._workers[index] = caller

    def _refuse(self, caller: _Caller, index: int) -> None:
        self._refused += 1
        if self._refused in (1, 10, 100) or self._refused % 1000 == 0:
            logging.warning(
                "refused %d caller(s) with another token or %s, the last as worker %d; %s must be "
                "the same in every process",
                self._refused,
                VARIABLE,
                index,
                TOKEN_VARIABLE,
            )
        with contextlib.suppress(OSError):
            caller.connection.sendall(_REFUSED)
        self._drop(caller)

    def _drop(self, caller: _Caller) -> None:
        self._selector.unregister(caller.connection)
        caller.connection.close()
        self._unknown = [c for c in self._unknown if c is not caller]
        self._workers = {i: c for i, c in self._workers.items() if c is not caller}


def _code(key: bytes, meaning: bytes, chief_nonce: bytes, nonce: bytes, index: int) -> bytes:
    message = b"".join([meaning, chief_nonce, nonce, index.to_bytes(4, "big")])
    return hmac.digest(key, message, "sha256")


def _listen(cluster: Cluster) -> Iterator[socket.socket]:
    """Yield a socket at each address that the chief's name stands for, and no others."""
    address = cluster.addresses[0]
    host, port = _split(address)
    refused: OSError | None = None
    listening = False
    for family, target in _local_addresses(cluster, host, port):
        try:
            listener = socket.create_server(target, family=family)
        except OSError as error:
            # Such as ::1, a second address of localhost, where there is no IPv6.
            refused = error
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break
        else:
            listening = True
            yield listener
    else:
        if listening:
            return
    reason = refused.strerror if refused else "it has no address"
    raise UserError(f"worker 0 can't listen at its address {address} in {VARIABLE}: {reason}")


def _local_addresses(cluster: Cluster, host: str, port: int) -> list[tuple[int, tuple]]:
    """Return families and addresses to listen at: those that the chief's name stands for.

    Many systems map their own name to 127.0.1.1, where no other machine can call. Then it is the
    address from which this machine reaches the first worker elsewhere.
    """
    found = _resolve(host, port, _RESOLVE_SECONDS)
    if _is_loopback_name(host) or not all(_is_loopback(target[0]) for _, target in found):
        return found
    for other in cluster.addresses[1:]:
        with contextlib.suppress(OSError, UserError):
            for family, target in _resolve(*_split(other), 0.0):
                if not _is_loopback(target[0]):
                    with socket.socket(family, socket.SOCK_DGRAM) as probe:
                        probe.connect(target)  # sends nothing
                        return [(family, (probe.getsockname()[0], port))]
    return found


def _resolve(host: str, port: int, seconds: float) -> list[tuple[int, tuple]]:
    """Return the families and addresses of a host, which may become known within some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return list(dict.fromkeys((int(row[0]), row[4]) for row in rows))
        except (OSError, UnicodeError) as error:
            if time.monotonic() >= deadline or not isinstance(error, socket.gaierror):
                raise UserError(
                    f"{VARIABLE} names {host}, which has no address here: {error}"
                ) from error
        time.sleep(_RETRY_SECONDS)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _is_loopback_name(host: str) -> bool:
    """Return whether a host is, by its name alone, the machine of whoever asks."""
    with contextlib.suppress(ValueError):
        return _is_loopback(host)
    return host == "localhost"


def _connect_to_chief(index: int, host: str, port: int, key: bytes) -> None:
    warned = False
    while True:
        # Fails where the chief has not started yet, and ends where it is restarted.
        with (
            contextlib.suppress(OSError, UnicodeError),
            socket.create_connection((host, port), timeout=_HELLO_SECONDS) as chief,
        ):
            answer = _introduce_oneself(chief, index, key)
            if answer == _Answer.GO:
                return
            if answer == _Answer.REFUSED and not warned:
                warned = True
                logging.warning(
                    "the chief at %s:%d refuses worker %d: %s and the cluster in %s must be the "
                    "same in every process",
                    *(host, port, index, TOKEN_VARIABLE, VARIABLE),
                )
        time.sleep(_RETRY_SECONDS)


def _introduce_oneself(chief: socket.socket, index: int, key: bytes) -> "_Answer":
    """Say hello to the chief and wait for its answer, without a time limit."""
    chief.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    magic, chief_nonce = _GREETING.unpack(_receive(chief, _GREETING.size))
    if magic != _MAGIC:
        return _Answer.NONE  # something else listens there
    nonce = secrets.token_bytes(_NONCE_BYTES)
    code = _code(key, b"hello", chief_nonce, nonce, index)
    chief.sendall(_HELLO.pack(_MAGIC, index, nonce, code))
    chief.settimeout(None)
    reply = _receive(chief, len(_REFUSED))
    if hmac.compare_digest(reply, _code(key, b"go", chief_nonce, nonce, index)):
        return _Answer.GO
    return _Answer.REFUSED if reply == _REFUSED else _Answer.NONE


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        more = connection.recv(size - len(received))
        if not more:
            raise ConnectionResetError
        received += more
    return received
