"""The file of the Inception graph: found or downloaded, unpacked, verified by its checksum."""

import dataclasses
import hashlib
import http.client
import os
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import user_path, whole_file
from tfrecords_tools.progress import Progress
from tfrecords_tools.untrusted.regular_file import open_regular, read_bytes
from tfrecords_tools.untrusted.unpacking import open_unpacked

ARCHIVE = "inception-2015-12-05.tgz"
GRAPH = "classify_image_graph_def.pb"
# Plain http, because only the checksum below is trusted.
ADDRESS = f"http://download.tensorflow.org/models/image/imagenet/{ARCHIVE}"
# Environment variable with the address of a copy, for networks that do not reach the original.
ADDRESS_VARIABLE = "PGAN_TF_INCEPTION_URL"
# Of the graph in the archive (95,673,916 bytes), as independent projects record it.
GRAPH_SHA256 = "009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6"

_REMEDY = "say where it is by --inception=PATH (while training: --eval_inception=PATH)"
_GZIP_MAGIC = b"\x1f\x8b"
# Several times the published archive's content.
_MAX_BYTES = 1 << 29
_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class GraphFile:
    """A file of a frozen graph, and its content.

    Attributes:
      path: the file that was read: the graph, or the archive that holds it.
      content: the graph's bytes, a serialized GraphDef.
      sha256: of `content`, in hexadecimal.
    """

    path: Path
    content: bytes
    sha256: str

    @property
    def is_published(self) -> bool:
        """True for the graph that published metrics were computed with."""
        return self.sha256 == GRAPH_SHA256


def find_inception(path: str | os.PathLike | None) -> GraphFile:
    """Read the Inception graph from a given file or the cache; download it if need be.

    Args:
      path: a `.pb` file, or a `.tgz` file with `classify_image_graph_def.pb` in it; None for the
        published archive, which is cached in `$XDG_CACHE_HOME/pgan_tf/`, by default
        `~/.cache/pgan_tf/`.

    Raises:
      UserError: there is no such file, it is damaged, or it cannot be downloaded.
    """
    if path is not None:
        return read_graph(user_path(path))
    cached = cache_directory() / ARCHIVE
    if not cached.exists():
        download(os.environ.get(ADDRESS_VARIABLE) or ADDRESS, cached)
    try:
        return _read_published(cached)
    except UserError as error:
        raise UserError(
            f"{error}. Remove {cached} to have it downloaded again, or {_REMEDY}"
        ) from error


def cache_directory() -> Path:
    """Return the directory of downloads."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pgan_tf"


def read_graph(path: Path) -> GraphFile:
    """Read a `.pb` file, or the graph in a `.tgz` file; the first bytes decide.

    Raises:
      UserError: there is no such file, or no graph in it.
    """
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {kind}; expected {ARCHIVE} or its {GRAPH}")
    with open_regular(path) as file:
        is_archive = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    content = _unpack(path) if is_archive else read_bytes(path, _MAX_BYTES)
    return _graph_file(path, content)


def download(address: str, target: Path) -> None:
    """Download the archive, and keep it only if the graph in it is the published one.

    Args:
      address: of the archive.
      target: the file to write, whole or not at all.

    Raises:
      UserError: it cannot be downloaded, or is not the published one; says what to do instead.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remedy = f"Put {ARCHIVE} at {target} by other means, or {_REMEDY}"
    with whole_file(target) as temporary:
        try:
            _fetch(address, temporary)
            _read_published(temporary)
        except UserError as error:
            reason = str(error).replace(str(temporary), ARCHIVE)
            raise UserError(f"{address}: {reason}. {remedy}") from error
        except urllib.error.HTTPError as error:
            raise UserError(
                f"{address}: the server answers {error.code} {error.reason}. {remedy}"
            ) from error
        except urllib.error.URLError as error:
            raise UserError(f"{address}: cannot be reached: {error.reason}. {remedy}") from error
        except (http.client.HTTPException, ConnectionError, TimeoutError, ValueError) as error:
            raise UserError(
                f"{address}: cannot be downloaded: {type(error).__name__}: {error}. {remedy}"
            ) from error


def _fetch(address: str, path: Path) -> None:
    """Download an address to a file."""
    with (
        urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response,
        path.open("wb") as file,
        Progress(response.length, "B", ARCHIVE) as progress,
    ):
        announced, received = response.length, 0
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            received += len(chunk)
            progress.update(len(chunk))
    if announced is not None and received != announced:
        raise UserError(f"the download ended after {received} of {announced} bytes")


def _graph_file(path: Path, content: bytes) -> GraphFile:
    return GraphFile(path, content, hashlib.sha256(content).hexdigest())


def _read_published(path: Path) -> GraphFile:
    """Read the graph in an archive, which must be the published one."""
    graph = _graph_file(path, _unpack(path))
    if not graph.is_published:
        raise UserError(
            f"{path}: the SHA-256 of its {GRAPH} must be {GRAPH_SHA256}. Received: {graph.sha256}"
        )
    return graph


def _unpack(path: Path) -> bytes:
    """Return the graph in an archive."""
    try:
        with (
            open_unpacked(path, _MAX_BYTES) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as archive,
        ):
            for member in archive:
                if member.isfile() and Path(member.name).name == GRAPH:
                    file = archive.extractfile(member)
                    content = file.read() if file else b""
                    if len(content) != member.size:
                        raise tarfile.ReadError(
                            f"{GRAPH} ends after {len(content)} of {member.size} bytes"
                        )
                    return content
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk, not of the file
        raise UserError(f"{path}: damaged, or no .tgz archive: {error}") from error
    raise UserError(f"{path}: no {GRAPH} in this archive; expected {ARCHIVE}")
