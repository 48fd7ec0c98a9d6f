import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.data.remote import RemoteFile, is_remote, open_remote_pyramid
from tests.helpers.numbered import NumberedSource, upload
from tests.helpers.tiny import write_pyramid as write_as_original
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import MANIFEST_NAME, open_pyramid
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

COUNT = 25
R02, R03, LABELS = "numbered-r02.tfrecords", "numbered-r03.tfrecords", "numbered-rxx.labels"


def write(directory, encoding, shards):
    options = WriteOptions(encoding=encoding, shards=shards)
    write_pyramid(NumberedSource(COUNT, 8), directory, options, {}, lambda line: None)
    return directory


@pytest.fixture(params=[("raw", 1), ("raw", 4), ("png", 3)], ids=str)
def directory(request, tmp_path):
    return write(tmp_path / "numbered", *request.param)


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("scheme", ["ram", "file"])
def test_a_remote_pyramid_equals_the_local_one(directory, scheme, manifest):
    local = open_pyramid(directory)
    if not manifest:
        (directory / MANIFEST_NAME).unlink()
    url = f"file://{directory}"
    if scheme == "ram":
        url = upload(directory, f"ram:/{directory}-{manifest}")
    remote = open_remote_pyramid(f"{url}/")
    assert remote.location == url and remote.is_remote
    for name in ("name", "count", "channels", "resolution", "label_size"):
        assert getattr(remote, name) == getattr(local, name)
    assert remote.label_names == (local.label_names if manifest else None)
    np.testing.assert_array_equal(remote.labels, local.labels)
    numbers = np.random.default_rng(0).permutation(COUNT)
    for level in local.levels:
        np.testing.assert_array_equal(
            remote.level(level.resolution).read(numbers), level.read(numbers)
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_pyramids_of_the_original_are_read(tmp_path, channels):
    directory = write_as_original(tmp_path / "tiny", resolution=8, channels=channels)
    remote = open_remote_pyramid(f"file://{directory}")
    local = open_pyramid(directory)
    assert (remote.count, remote.channels, remote.labels) == (24, channels, None)
    np.testing.assert_array_equal(
        remote.level(8).read(np.arange(24)), local.level(8).read(np.arange(24))
    )


def refusal(url):
    """Return the error of one line that refuses a URL."""
    with pytest.raises(UserError) as error:
        open_remote_pyramid(url)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_url_without_a_pyramid_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    assert refusal(f"file://{tmp_path}/nothing").endswith("no such directory; expected a pyramid")
    assert refusal("ram://nothing-at-all/x").endswith("no such directory; expected a pyramid")
    assert refusal(f"file://{tmp_path}/file").endswith("not a directory; expected a pyramid")
    assert "no pyramid in it" in refusal(f"file://{tmp_path}/empty")


@pytest.mark.parametrize("scheme", ["s3://", "hdfs://", "typo://"])
def test_an_unknown_scheme_is_named(scheme):
    said = refusal(f"{scheme}bucket/faces")
    assert f"no file system for {scheme}; it has file://, gs://" in said


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: cut(d / R03, 5), "r03.tfrecords: truncated or damaged"),
        (lambda d: (d / R02).write_bytes(b""), "r02.tfrecords: empty"),
        (lambda d: (d / R02).write_bytes(b"x" * 99), "r02.tfrecords: its first record has no"),
        (lambda d: cut(d / R03, None), "every level must hold the same images"),
        (lambda d: (d / R02).unlink(), "r02.tfrecords: missing"),
        (lambda d: cut(d / LABELS, 12), "rxx.labels: not an array"),
        (
            lambda d: save(d / LABELS, np.zeros((9, 3), np.float32)),
            "rxx.labels: must hold 25 labels",
        ),
        (lambda d: save(d / LABELS, np.zeros(25)), "rxx.labels: labels must be float32"),
        (
            lambda d: save(d / LABELS, np.zeros((25, 3), np.float32)),
            "rxx.labels: damaged, or not the labels that were written",
        ),
        (lambda d: cut(d / MANIFEST_NAME, 40), "manifest.json: not valid JSON"),
        (lambda d: edit(d / MANIFEST_NAME, '"count": 25', '"count": 26'), "manifest.json: damaged"),
    ],
)
def test_damaged_pyramids_are_refused_and_the_file_is_named(tmp_path, spoil, message):
    directory = write(tmp_path / "numbered", "raw", 1)
    spoil(directory)
    assert message in refusal(f"file://{directory}")


@pytest.mark.parametrize(
    ("suffix", "size", "message"),
    [
        ("", 5, "00000-of-00002: truncated or damaged, or its index numbered-r03.tfrecords-00000"),
        (".index", 5, "index: truncated or damaged: its size must be a multiple of 8"),
        (".index", 8, "00000-of-00002: truncated or damaged, or its index numbered-r03"),
    ],
)
def test_truncated_files_of_encoded_images_are_refused(tmp_path, suffix, size, message):
    directory = write(tmp_path / "numbered", "png", 2)
    cut(directory / f"numbered-r03.tfrecords-00000-of-00002{suffix}", size)
    assert message in refusal(f"file://{directory}")


def test_a_damaged_index_is_refused_when_its_level_is_read(tmp_path):
    directory = write(tmp_path / "numbered", "png", 2)
    path = directory / "numbered-r03.tfrecords-00000-of-00002.index"
    index = np.fromfile(path, "<u8")
    index[3:5] = index[3:5][::-1]
    index.tofile(path)
    pyramid = open_remote_pyramid(f"file://{directory}")
    pyramid.level(4).read(np.arange(COUNT))
    with pytest.raises(UserError, match="00000-of-00002.index: damaged: its offsets must"):
        pyramid.level(8).read(np.array([0]))


@pytest.mark.parametrize(("encoding", "requests"), [("raw", 1), ("png", 2)])
def test_opening_reads_each_file_once(tmp_path, monkeypatch, encoding, requests):
    """One request for the beginning of each level's file, one for its index, labels, manifest."""
    directory = write(tmp_path / "numbered", encoding, 2)
    opened = []
    read = tf.io.gfile.GFile
    monkeypatch.setattr(
        tf.io.gfile, "GFile", lambda url, mode: opened.append(url) or read(url, mode)
    )
    open_remote_pyramid(f"file://{directory}")
    assert len(opened) == len(set(opened)) == 2 * 2 * requests + 2


def test_a_manifest_of_other_files_is_refused(tmp_path):
    directory = write(tmp_path / "numbered", "raw", 1)
    for path in directory.glob("*.tfrecords"):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // COUNT * 20])
    assert "'count' is 25 in the manifest, 20 in the files" in refusal(f"file://{directory}")


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_a_flipped_bit_is_found_when_its_record_is_read(tmp_path, encoding):
    directory = write(tmp_path / "numbered", encoding, 2)
    path = directory / "numbered-r03.tfrecords-00001-of-00002"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1  # in the last record
    path.write_bytes(data)
    level = open_remote_pyramid(f"file://{directory}").level(8)
    level.read(np.arange(COUNT - 1))
    with pytest.raises(UserError, match=r"00001-of-00002: record 12 \(of 0\.\.12\) is damaged"):
        level.read(np.array([0, COUNT - 1]))


def test_errors_of_a_file_system_are_one_line(tmp_path, monkeypatch):
    directory = write(tmp_path / "numbered", "raw", 1)

    def fail(path):
        message = "{{function_node x}} Error executing an HTTP request\ndetails"
        raise tf.errors.UnavailableError(None, None, message)

    monkeypatch.setattr(tf.io.gfile, "stat", fail)
    said = refusal(f"file://{directory}")
    assert said.endswith("can't be read: UnavailableError: Error executing an HTTP request")


@pytest.mark.parametrize(
    ("path", "remote"),
    [("gs://b/x", True), ("ram://x", True), ("file:///x", True), ("/x", False), ("x/y", False),
     ("C:x", False), ("data://x", True), ("a/b://c", False)],
)  # fmt: skip
def test_a_url_is_recognized_by_its_scheme(path, remote):
    assert is_remote(path) == remote


def cut(path, size):
    """Cut bytes off a file's end; for None, the last 5 of its records."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // COUNT * 20] if size is None else data[:-size])


def edit(path, old, new):
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def save(path, labels):
    with path.open("wb") as file:
        np.save(file, labels)


@pytest.mark.parametrize("span", [(0, 2**62), (2**62, 2**62 + 9), (-5, 3), (9, 3)])
def test_no_more_is_asked_for_than_a_file_holds(tmp_path, span):
    (tmp_path / "file").write_bytes(b"12345678")
    with pytest.raises(UserError, match=r"file: damaged: bytes -?\d+ to \d+ of a file of 8"):
        RemoteFile(f"file://{tmp_path}/file").read_spans(np.array([span]))
