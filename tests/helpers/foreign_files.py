"""Every kind of file that somebody else may have written: a small valid one, and its reader."""

import dataclasses
import functools
import gzip
import io
import pickle
import shutil
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from pgan_tf.legacy.network_file import read_networks
from pgan_tf.metrics import load_dinov2, load_inception
from pgan_tf.runs.averages import PostHocAverage
from pgan_tf.runs.run_directory import RunDirectory, left_out_flags, read_config
from pgan_tf.runs.saved_generator import load_generator, read_description
from pgan_tf.training.fine_tuning import _read_checkpoint as _read_weights
from tests.helpers.network_files import golden_states, write_network_file
from tests.helpers.small_inception import SmallInception
from tfrecords_tools.command.flagfile import expand_flagfiles
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.safe_pickle import load_plain
from tfrecords_tools.sources.cifar import open_cifar
from tfrecords_tools.sources.hdf5 import open_hdf5
from tfrecords_tools.sources.idx import open_idx
from tfrecords_tools.sources.images import open_images
from tfrecords_tools.sources.lsun import open_lsun
from tfrecords_tools.sources.svhn import open_svhn
from tfrecords_tools.untrusted.array_file import load_array, map_array

FIXTURES = Path(__file__).parent.parent / "fixtures" / "earlier_version"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
      name: of the file, with the suffix that commands expect.
      valid: returns a small valid one's bytes.
      read: reads all of the file at a path; must raise nothing but `UserError`.
      slow: whether reading takes a new process, or TensorFlow.
    """

    name: str
    valid: Callable[[], bytes]
    read: Callable[[Path], object]
    slow: bool = False


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _saved(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _on_disk(write):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x"
        write(path)
        return path.read_bytes()


def _averages():
    arrays = {"images_seen": np.array(1000), "lengths": np.array([0.05])}
    weights = {"0/d/kernel": np.ones([3, 2], "f4"), "0/d/bias": np.ones(2, "f4")}
    return _saved(lambda file: np.savez(file, **arrays, **weights))


def _read_averages(path):
    layer = keras.layers.Dense(2, name="d")
    layer.build([None, 3])
    PostHocAverage(path.parent, images_seen=1000, length=0.05).assign_to(layer)


def _image(kind):
    return _saved(lambda file: Image.fromarray(noise(9, 8, 3)).save(file, kind))


def _idx():
    return struct.pack(">4B3I", 0, 0, 8, 3, 5, 6, 6) + noise(5, 6, 6).tobytes()


def _tar(mode):
    def write(file):
        with tarfile.open(fileobj=file, mode=mode) as archive:
            for name in ("a.png", "b.bmp"):
                data = _image(name[-3:])
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    return _saved(write)


def _zip():
    def write(file):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("a.png", "b.bmp"):
                archive.writestr(name, _image(name[-3:]))

    return _saved(write)


def _cifar():
    def write(file):
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            batch = pickle.dumps({"data": noise(2, 3072), "labels": [3, 9]}, protocol=2)
            names = pickle.dumps({"label_names": list("0123456789")}, protocol=2)
            contents = {"batches.meta": names, "test_batch": batch}
            for name, data in contents.items():
                info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    return _saved(write)


def _mat():
    from scipy.io import savemat

    contents = {"X": noise(32, 32, 3, 2), "y": np.array([[1], [10]], np.uint8)}
    return _saved(lambda file: savemat(file, contents, do_compression=True))


def _hdf5():
    import h5py

    def write(path):
        with h5py.File(path, "w") as file:
            file.create_dataset("data4", data=noise(3, 3, 4, 4), compression="gzip")

    return _on_disk(write)


def _lmdb():
    import lmdb

    def write(path):
        database = lmdb.open(str(path), subdir=False, map_size=1 << 20, lock=False)
        with database.begin(write=True) as transaction:
            for number in range(40):
                transaction.put(b"%04d" % number, _image("PNG"))
        database.close()

    return _on_disk(write)


def _open_idx(path):
    return open_idx(path, "train", None, None)


def _read_images(path):
    policy = ImagePolicy(channels=0, resolution=0)
    source = open_images(path, policy, False, 1, False, lambda line: None)
    return [source.load(index) for index in range(source.count)]


def _read_source(source):
    return source.labels(), [source.load(index) for index in range(min(source.count, 50))]


def _pyramid(folder, name):
    """The kind of one file of a pyramid, the others of which are whole."""

    def read(path):
        directory = path.parent / folder
        shutil.copytree(FIXTURES / folder, directory, dirs_exist_ok=True)
        shutil.copy(path, directory / name)
        pyramid = open_pyramid(directory)
        return pyramid.labels, [level.read(np.arange(pyramid.count)) for level in pyramid.levels]

    return Kind(name, (FIXTURES / folder / name).read_bytes, read)


def _run(name):
    """The kind of one file of a run, the others of which are whole."""

    def read(path):
        run = path.parent / "run"
        shutil.copytree(FIXTURES / "run", run, dirs_exist_ok=True)
        shutil.copy(path, run / name)
        return read_config(run), left_out_flags(run), RunDirectory(run).metrics_log.rows()

    return Kind(Path(name).name, (FIXTURES / "run" / name).read_bytes, read)


def _read_checkpoint(path):
    checkpoints = path.parent / "run" / "checkpoints"
    shutil.copytree(FIXTURES / "run" / "checkpoints", checkpoints, dirs_exist_ok=True)
    shutil.copy(path, checkpoints / path.name)
    return _read_weights(checkpoints / "state-96")


def _read_inception(path):
    return load_inception(path)(noise(1, 9, 9, 3))


@functools.cache
def _dinov2():
    import keras_hub

    sizes = {"num_layers": 1, "hidden_dim": 4, "num_heads": 1, "intermediate_dim": 4}
    shapes = {"image_shape": (56, 56, 3), "position_embedding_shape": (56, 56, 3)}
    model = keras_hub.models.DINOV2Backbone(patch_size=56, **sizes, **shapes)

    def save(path):
        model.save(path.with_suffix(".keras"))
        path.with_suffix(".keras").replace(path)

    return _on_disk(save)


GENERATOR = FIXTURES / "run" / "networks" / "generator-000000.096.keras"
KINDS = {
    "array": Kind(
        "x.npy",
        lambda: _saved(lambda file: np.save(file, noise(3, 4))),
        lambda path: (load_array(path), map_array(path)),
    ),
    "arrays": Kind("averages-000001.npz", _averages, _read_averages),
    "pickle": Kind(
        "x.pkl",
        lambda: pickle.dumps({"a": [noise(3), 2, "c"], "b": (1.5, b"d")}, protocol=2),
        lambda path: load_plain(path.read_bytes(), str(path)),
    ),
    "network": Kind(
        "x.pkl",
        lambda: _on_disk(lambda path: write_network_file(path, golden_states())),
        read_networks,
    ),
    "flagfile": Kind(
        "x.flags",
        lambda: b"# words\n--batch_size=4\n--nohistograms\n",
        lambda path: expand_flagfiles([f"--flagfile={path}"]),
    ),
    "idx": Kind("train-images-idx3-ubyte", _idx, lambda path: _read_source(_open_idx(path))),
    "idx.gz": Kind(
        "train-images-idx3-ubyte.gz",
        lambda: gzip.compress(_idx(), mtime=0),
        lambda path: _read_source(_open_idx(path)),
    ),
    "cifar": Kind(
        "x.tar.gz", _cifar, lambda path: _read_source(open_cifar(path, "cifar10", "test", True))
    ),
    "zip": Kind("x.zip", _zip, _read_images),
    "tar": Kind("x.tar", lambda: _tar("w"), _read_images),
    "tar.gz": Kind("x.tar.gz", lambda: _tar("w:gz"), _read_images),
    **{
        f"image.{kind.lower()}": Kind(
            f"x.{kind.lower()}",
            functools.partial(_image, kind),
            lambda path: read_pixels(path, ImagePolicy(3, 4, max_pixels=10_000)),
        )
        for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
    },
    "level": _pyramid("pyramid", "pyramid-r03.tfrecords"),
    "labels": _pyramid("pyramid", "pyramid-rxx.labels"),
    "manifest": _pyramid("pyramid", "manifest.json"),
    "png level": _pyramid("pyramid_png", "pyramid_png-r03.tfrecords-00001-of-00002"),
    "png index": _pyramid("pyramid_png", "pyramid_png-r03.tfrecords-00001-of-00002.index"),
    "config": _run("config.flags"),
    "log": _run("metrics.jsonl"),
    "generator": Kind("x.keras", GENERATOR.read_bytes, load_generator, slow=True),
    "description": Kind("x.keras", GENERATOR.read_bytes, read_description),
    "dinov2": Kind("x.keras", _dinov2, load_dinov2, slow=True),
    "inception": Kind("x.pb", lambda: SmallInception().serialized(), _read_inception, slow=True),
    "checkpoint index": Kind(
        "state-96.index",
        (FIXTURES / "run/checkpoints/state-96.index").read_bytes,
        _read_checkpoint,
        slow=True,
    ),
    "checkpoint data": Kind(
        "state-96.data-00000-of-00001",
        (FIXTURES / "run/checkpoints/state-96.data-00000-of-00001").read_bytes,
        _read_checkpoint,
        slow=True,
    ),
    "hdf5": Kind("x.h5", _hdf5, lambda path: _read_source(open_hdf5(path, None)), slow=True),
    "matlab": Kind(
        "x.mat", _mat, lambda path: _read_source(open_svhn(path, "train", True)), slow=True
    ),
    "lmdb": Kind(
        "x.mdb", _lmdb, lambda path: _read_source(open_lsun(path, 4, None, 10_000)), slow=True
    ),
}
