import hashlib
import http.server
import socket
import threading

import numpy as np
import pytest

from pgan_tf.metrics import inception_file, load_inception
from pgan_tf.metrics.inception_file import ARCHIVE, find_inception
from tests.helpers.small_inception import SmallInception, archive
from tfrecords_tools.errors import UserError

SMALL = SmallInception()
GRAPH = SMALL.serialized()
TGZ = archive(GRAPH)


@pytest.fixture
def serve(monkeypatch):
    """Serves an answer at a local address, which takes the place of the archive's."""
    servers = []

    def start(body=TGZ, *, status=200, length=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests += 1
                self.send_response(status)
                if length is not False:
                    self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.requests = 0
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        servers.append(server)
        address = f"http://127.0.0.1:{server.server_port}/{ARCHIVE}"
        monkeypatch.setenv("PGAN_TF_INCEPTION_URL", address)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; the small graph passes for the published one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(inception_file, "GRAPH_SHA256", hashlib.sha256(GRAPH).hexdigest())
    return tmp_path / "pgan_tf"


def test_without_a_path_the_graph_is_downloaded_once(cache, serve, rng):
    server = serve()
    images = rng.integers(0, 256, [2, 16, 16, 3]).astype(np.uint8)
    first = load_inception(None)(images)
    np.testing.assert_allclose(first.features, SMALL.features(images), rtol=1e-4, atol=1e-5)
    assert [path.name for path in cache.iterdir()] == [ARCHIVE]
    assert (cache / ARCHIVE).read_bytes() == TGZ
    np.testing.assert_array_equal(load_inception(None)(images).features, first.features)
    assert server.requests == 1


def test_a_server_that_announces_no_length_is_fine(cache, serve):
    serve(length=False)
    assert find_inception(None).content == GRAPH


def test_a_given_path_is_read_and_nothing_downloaded(cache, serve, tmp_path):
    server = serve()
    (tmp_path / "own.pb").write_bytes(GRAPH)
    assert find_inception(tmp_path / "own.pb").content == GRAPH
    assert server.requests == 0
    assert not cache.exists()


def other_graph():
    return archive(SmallInception(seed=1).serialized())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {"body": other_graph()},
            "the SHA-256 of its classify_image_graph_def.pb must be [0-9a-f]{64}",
        ),
        (
            {"body": TGZ[:-500], "length": len(TGZ)},
            rf"download ended after {len(TGZ) - 500} of {len(TGZ)}",
        ),
        ({"body": TGZ[:-500], "length": False}, "damaged, or no .tgz archive"),
        ({"body": b"<html>Log in to the hotel</html>"}, "damaged, or no .tgz archive"),
        ({"body": b""}, "damaged, or no .tgz archive"),
        ({"body": b"gone", "status": 404}, "the server answers 404 Not Found"),
        ({"body": b"", "status": 503}, "the server answers 503 Service Unavailable"),
    ],
    ids=["other", "truncated", "truncated-unannounced", "page", "empty", "404", "503"],
)
def test_an_archive_without_the_graph_is_not_kept(cache, serve, answer, message):
    serve(**answer)
    with pytest.raises(UserError, match=message) as caught:
        find_inception(None)
    assert_helpful(caught.value, cache)
    assert ".partial" not in str(caught.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("kind", ["refused", "silent", "unknown scheme", "unknown host"])
def test_an_address_that_does_not_answer_is_an_error_that_helps(cache, monkeypatch, kind):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        if kind == "silent":
            silent.listen()
            monkeypatch.setattr(inception_file, "_TIMEOUT_SECONDS", 0.2)
        address = {
            "unknown scheme": "nowhere",
            # Reserved for names that never exist; nothing outside is asked for it here.
            "unknown host": "http://inception.invalid/x.tgz",
        }.get(kind, f"http://127.0.0.1:{port}/x.tgz")
        if kind == "unknown host":
            monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
        monkeypatch.setenv("PGAN_TF_INCEPTION_URL", address)
        with pytest.raises(UserError, match="cannot be (reached|downloaded)") as caught:
            find_inception(None)
    assert_helpful(caught.value, cache)
    assert list(cache.iterdir()) == []


def no_such_host(*_args, **_kwargs):
    raise socket.gaierror(-2, "Name or service not known")


def assert_helpful(error, cache):
    assert "\n" not in str(error)
    assert f"Put {ARCHIVE} at {cache / ARCHIVE} by other means" in str(error)
    assert "--inception=PATH" in str(error)


def test_a_file_put_into_the_cache_by_hand_is_used(cache, serve):
    server = serve()
    cache.mkdir()
    (cache / ARCHIVE).write_bytes(TGZ)
    assert find_inception(None).content == GRAPH
    assert server.requests == 0


@pytest.mark.parametrize("content", [other_graph(), TGZ[:-500]], ids=["other", "truncated"])
def test_a_damaged_file_in_the_cache_is_named(cache, serve, content):
    serve()
    cache.mkdir()
    (cache / ARCHIVE).write_bytes(content)
    with pytest.raises(UserError, match="damaged") as caught:
        find_inception(None)
    assert f"Remove {cache / ARCHIVE} to have it downloaded again" in str(caught.value)


def test_the_home_directory_holds_the_cache_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert inception_file.cache_directory() == tmp_path / ".cache" / "pgan_tf"
