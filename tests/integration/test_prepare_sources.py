"""pgan-prepare-tfrecords on every source: from a file in its real format to a pyramid.

What a source makes of its files is tested beside it; here, that the command passes it on whole: the
original's order, the lower levels, the labels, the same bytes from any number of processes.
"""

import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.cli.prepare import main
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

COUNT = 9


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def make_mnist(path):
    digits = noise(COUNT, 28, 28)
    head = struct.pack(">IIII", 0x803, *digits.shape)
    (path / "train-images-idx3-ubyte").write_bytes(head + digits.tobytes())
    padded = np.pad(digits, [(0, 0), (2, 2), (2, 2)])
    random = np.random.RandomState(123)
    return path, np.stack([padded[random.randint(COUNT, size=3)] for _ in range(COUNT)]), None


def make_cifar(path, files, key):
    labels = np.arange(COUNT) % 7
    rows = noise(COUNT, 3072)
    for part, name in zip(np.array_split(np.arange(COUNT), len(files)), files, strict=True):
        content = {"data": rows[part], key: labels[part].tolist()}
        (path / name).write_bytes(pickle.dumps(content, protocol=2))
    return path, rows.reshape(COUNT, 3, 32, 32), labels


def make_svhn(path):
    savemat = pytest.importorskip("scipy.io").savemat
    pixels, labels = noise(32, 32, 3, COUNT), np.arange(COUNT) + 2
    savemat(path / "train_32x32.mat", {"X": pixels, "y": labels[:, None].astype(np.uint8)})
    return path, pixels.transpose(3, 2, 0, 1), labels % 10


def make_lsun(path):
    lmdb = pytest.importorskip("lmdb")
    pixels = noise(COUNT, 256, 256, 3)
    database = lmdb.open(str(path), map_size=1 << 26)
    with database.begin(write=True) as transaction:
        for index in reversed(range(COUNT)):
            file = io.BytesIO()
            Image.fromarray(pixels[index]).save(file, "PNG")
            transaction.put(b"%d" % index, file.getvalue())
    database.close()
    return path, pixels.transpose(0, 3, 1, 2), None


def make_celeba(path):
    pixels = noise(COUNT, 218, 178, 3)
    for index in range(COUNT):
        Image.fromarray(pixels[index]).save(path / f"{index + 1:06d}.png")
    smiling = np.arange(COUNT) % 2
    lines = [f"{index + 1:06d}.jpg {2 * smiling[index] - 1:2d}" for index in range(COUNT)]
    (path / "list_attr_celeba.txt").write_text("\n".join([str(COUNT), "Smiling", *lines]))
    return path, pixels[:, 57:185, 25:153].transpose(0, 3, 1, 2), smiling


def make_celebahq(path):
    pixels = noise(COUNT, 3, 16, 16)
    for index in range(COUNT):
        np.save(path / f"imgHQ{index:05d}.npy", pixels[index])
    return path, pixels, None


def make_hdf5(path):
    h5py = pytest.importorskip("h5py")
    pixels, labels = noise(COUNT, 1, 16, 16), np.arange(COUNT) % 3
    with h5py.File(path / "x.h5", "w") as file:
        file["data16x16"], file["data8x8"] = pixels, noise(COUNT, 1, 8, 8)
    np.save(path / "x-labels.npy", np.eye(3, dtype=np.float32)[labels])
    return path / "x.h5", pixels, labels


def make_archive(path):
    pixels = noise(COUNT, 16, 16, 3)
    with tarfile.open(path / "x.tar.gz", "w:gz") as archive:
        for index in range(COUNT):
            file = io.BytesIO()
            Image.fromarray(pixels[index]).save(file, "PNG")
            info = tarfile.TarInfo(f"animals/{'cats' if index % 2 else 'ants'}/{index}.png")
            info.size = len(file.getvalue())
            archive.addfile(info, io.BytesIO(file.getvalue()))
    order = [0, 2, 4, 6, 8, 1, 3, 5, 7]
    return path / "x.tar.gz", pixels[order].transpose(0, 3, 1, 2), np.array(order) % 2


BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
SOURCES = {
    "mnist_rgb": (make_mnist, (f"--num_images={COUNT}",), False),
    "cifar10": (lambda path: make_cifar(path, BATCHES, "labels"), (), True),
    "cifar100": (lambda path: make_cifar(path, ["train"], "fine_labels"), (), True),
    "svhn": (make_svhn, (), True),
    "lsun": (make_lsun, (), False),
    "celeba": (make_celeba, (f"--expected_images={COUNT}", "--attributes=Smiling"), True),
    "celebahq": (make_celebahq, (f"--expected_images={COUNT}", "--resolution=16"), True),
    "hdf5": (make_hdf5, (), True),
    "images": (make_archive, ("--labels=folders",), True),
}


def lower_levels(images):
    """Every level in NumPy: means of blocks of the full resolution, rounded half to even."""
    side = images.shape[-1]
    while side >= 4:
        block = images.shape[-1] // side
        blocks = images.reshape(*images.shape[:2], side, block, side, block)
        yield side, np.rint(blocks.mean(axis=(3, 5), dtype=np.float64)).astype(np.uint8)
        side //= 2


@pytest.mark.parametrize("source", SOURCES)
def test_a_pyramid_is_what_the_original_would_write(source, tmp_path, monkeypatch):
    make, flags, shuffled = SOURCES[source]
    (tmp_path / "input").mkdir()
    path, images, classes = make(tmp_path / "input")
    monkeypatch.chdir(tmp_path)
    command = [f"--source={source}", f"--input={path}", *flags, "--output=out"]
    assert main([*command, "--num_workers=1"]) == 0
    order = np.arange(COUNT)
    if shuffled:
        np.random.RandomState(123).shuffle(order)
    pyramid = open_pyramid("out")
    assert pyramid.count == COUNT and pyramid.manifest["shuffled"] == shuffled
    assert pyramid.manifest["source"]["kind"] == source
    for side, expected in lower_levels(images[order]):
        level = pyramid.level(side).read(np.arange(COUNT))
        np.testing.assert_array_equal(level, expected)
    if classes is None:
        assert pyramid.labels is None
    else:
        np.testing.assert_array_equal(pyramid.labels.argmax(1), classes[order])
        np.testing.assert_array_equal(pyramid.labels.sum(1), np.ones(COUNT))
    assert sorted(os.listdir(tmp_path)) == ["input", "out"]


@pytest.mark.parametrize("source", ["images", "lsun", "mnist_rgb", "hdf5", "cifar10"])
def test_the_bytes_are_the_same_from_any_number_of_processes(source, tmp_path, monkeypatch):
    make, flags, _ = SOURCES[source]
    (tmp_path / "input").mkdir()
    path, _, _ = make(tmp_path / "input")
    monkeypatch.chdir(tmp_path)
    contents = []
    for workers in (1, 2):
        command = [f"--source={source}", f"--input={path}", *flags, "--output=out", "--overwrite"]
        assert main([*command, f"--num_workers={workers}"]) == 0
        contents.append({file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()})
    assert contents[0] == contents[1]


@pytest.mark.parametrize("source", sorted({*SOURCES, "idx"}))
@pytest.mark.parametrize("kind", ["missing", "empty folder", "empty file", "noise"])
def test_an_input_of_another_kind_is_one_line_and_leaves_nothing(
    source, kind, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "input"
    if kind == "empty folder":
        path.mkdir()
    elif kind == "empty file":
        path.touch()
    elif kind == "noise":
        path.write_bytes(noise(5000).tobytes())
    before = os.listdir(tmp_path)
    assert main([f"--source={source}", f"--input={path}", "--output=out"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert str(path) in line
    assert os.listdir(tmp_path) == before


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--source=cifar10",), "--input is required for --source=cifar10"),
        (("--source=lsun", "--input=x", "--labels=classes"), "--labels has no meaning"),
        (("--source=lsun", "--input=x", "--crop=pad"), "--crop has no meaning for --source=lsun"),
        (("--source=lsun", "--input=x", "--noshuffle"), "--shuffle has no meaning"),
        (("--source=celebahq", "--input=x", "--attributes=Male"), "--attributes has no meaning"),
        (("--source=cifar10", "--input=x", "--split=extra"), "--split must be train or test for"),
        (("--source=svhn", "--input=x", "--labels=folders"), "--labels must be auto or none or cl"),
        (("--source=tfds:mnist", "--split=test"), "--split has no meaning for --source=tfds:mnist"),
        (("--source=tfds:",), "--source must be tfds:NAME or tfds:NAME:SPLIT. Received: tfds:"),
        (("--source=tfds",), "--source"),
        (("--source=celeba", "--input=x", "--expected_images=-1"), "--expected_images"),
    ],
)
def test_a_flag_that_a_source_does_not_know_is_refused(
    tmp_path, monkeypatch, capsys, flags, expected
):
    monkeypatch.chdir(tmp_path)
    assert main([*flags, "--output=out"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert line.startswith("pgan-prepare-tfrecords: error: ") and expected in line
    assert os.listdir(tmp_path) == []
