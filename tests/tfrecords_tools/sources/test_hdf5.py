"""The Theano version's archives, written here by h5py."""

import pickle

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.shape import Base
from tfrecords_tools.sources.hdf5 import open_hdf5

h5py = pytest.importorskip("h5py")


def images(side, count=7, channels=3):
    return np.random.default_rng(side).integers(0, 256, (count, channels, side, side), np.uint8)


@pytest.fixture(params=[1, 3])
def archive(request, tmp_path):
    """An archive of several resolutions, whose names sort in another order."""
    path = tmp_path / "celeb.a.h5"
    with h5py.File(path, "w") as file:
        for side in (4, 8, 16, 32):
            file[f"data{side}x{side}"] = images(side, channels=request.param)
        file["other"] = np.zeros((7, 3, 64, 64), np.uint8)
    return path


def test_the_largest_images_are_taken_in_their_order(archive):
    source = open_hdf5(archive, None)
    assert (source.count, source.resolution, source.dataset) == (7, 32, "data32x32")
    assert source.shuffled and source.labels() is None
    expected = images(32, channels=source.channels)
    for index in (0, 6, 3):
        image = source.load(index)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, expected[index])


def test_labels_beside_the_archive_are_taken_as_they_are(archive, tmp_path):
    labels = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    np.save(tmp_path / "celeb.a-labels.npy", labels)
    source = open_hdf5(archive, None)
    assert source.label_names == ("0", "1", "2", "3") and source.labels().dtype == np.float32
    np.testing.assert_array_equal(source.labels(), labels)
    assert open_hdf5(archive, False).labels() is None


def test_class_numbers_become_one_hot(archive, tmp_path):
    np.save(tmp_path / "celeb.a-labels.npy", np.array([2, 0, 1, 2, 2, 0, 0], np.uint8))
    expected = np.eye(3, dtype=np.float32)[[2, 0, 1, 2, 2, 0, 0]]
    np.testing.assert_array_equal(open_hdf5(archive, True).labels(), expected)


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((6, 4), np.float32),
        np.full((7, 2), np.nan),
        np.full((7, 2), 1e30),
        np.array([10**12] * 7),
        np.array([-1] * 7),
        np.zeros(7),
        np.zeros((7, 2, 2)),
        np.array([{}] * 7, object),
        np.array(["a"] * 7),
    ],
)
def test_wrong_labels_are_refused(archive, tmp_path, labels):
    np.save(tmp_path / "celeb.a-labels.npy", labels, allow_pickle=True)
    with pytest.raises(
        UserError, match=r"celeb\.a-labels\.npy: (must |labels must be numbers|not an .npy)"
    ):
        open_hdf5(archive, None)


def test_labels_that_are_asked_for_must_be_there(archive):
    with pytest.raises(UserError, match=r"celeb\.a-labels\.npy: no such file; --labels=classes"):
        open_hdf5(archive, True)


def test_each_process_opens_the_archive_for_itself(archive):
    source = open_hdf5(archive, None)
    expected = source.load(2)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).load(2), expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "no images; expected datasets named data.* Received: an empty archive"),
        ({"x": np.zeros((2, 3, 4, 4), np.uint8)}, "no images; .* Received: x"),
        ({"data4": np.zeros((2, 3, 4, 4))}, r"data4 must be uint8 .* float64 \[2, 3, 4, 4\]"),
        ({"data4": np.zeros((2, 5, 4, 4), np.uint8)}, r"uint8 \[2, 5, 4, 4\]"),
        ({"data6": np.zeros((2, 3, 6, 6), np.uint8)}, r"uint8 \[2, 3, 6, 6\]"),
        ({"data4": np.zeros((2, 3, 3, 8), np.uint8)}, r"uint8 \[2, 3, 3, 8\]"),
        ({"data4": np.zeros((2, 3, 4, 4), np.uint32)}, r"uint32 \[2, 3, 4, 4\]"),
        ({"data4": np.zeros((0, 3, 4, 4), np.uint8)}, r"uint8 \[0, 3, 4, 4\]"),
    ],
)
def test_wrong_contents_are_refused(tmp_path, content, expected):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, value in content.items():
            file[name] = value
    with pytest.raises(UserError, match=rf"x\.h5: .*{expected}"):
        open_hdf5(tmp_path / "x.h5", None)


def put(path, images):
    with h5py.File(path, "w") as file:
        file["data"] = images
    return path


def test_rectangles_with_alpha_are_taken_without_the_colors_of_what_is_transparent(tmp_path):
    images = np.random.default_rng(0).integers(1, 256, (3, 4, 8, 12), np.uint8)
    images[:, 3, :, :6] = 0
    source = open_hdf5(put(tmp_path / "x.h5", images), None)
    assert (source.base, source.resolution, source.channels) == (Base(4, 6), 8, 4)
    loaded = source.load(1)
    np.testing.assert_array_equal(loaded[:, :, 6:], images[1, :, :, 6:])
    images[:, :3, :, :6] = 0
    blank = open_hdf5(put(tmp_path / "y.h5", images), None)
    np.testing.assert_array_equal(loaded, blank.load(1))
    assert (loaded[:3, :, :6] > 0).all()  # colors of what is visible


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bits_are_kept_if_asked_for_and_else_rounded(tmp_path, dtype):
    images = np.random.default_rng(0).integers(0, 1 << 16, (3, 1, 8, 8)).astype(dtype)
    path = put(tmp_path / "x.h5", images)
    kept, rounded = open_hdf5(path, None, 16), open_hdf5(path, None)
    assert (kept.bits, rounded.bits) == (16, 8)
    assert kept.load(2).dtype == np.uint16 and rounded.load(2).dtype == np.uint8
    np.testing.assert_array_equal(kept.load(2), images[2])
    np.testing.assert_array_equal(rounded.load(2), np.rint(images[2] / 257))


def test_8_bits_are_scaled_to_16_if_asked_for(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), np.uint8)
    loaded = open_hdf5(put(tmp_path / "x.h5", images), None, 16).load(0)
    np.testing.assert_array_equal(loaded, images[0] * np.uint16(257))


def test_16_bits_of_color_are_refused(tmp_path):
    path = put(tmp_path / "x.h5", np.zeros((2, 3, 4, 4), np.uint16))
    with pytest.raises(UserError, match="--bits=16 needs grayscale images. Received: .* 3 channel"):
        open_hdf5(path, None, 16)


def test_a_damaged_or_missing_archive_is_refused(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"celeb\.a\.h5: damaged or no HDF5 archive"):
        open_hdf5(archive, None)
    with pytest.raises(UserError, match=r"x\.h5: no such file"):
        open_hdf5(tmp_path / "x.h5", None)


def test_a_damaged_image_is_named(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        data = images(32)
        file.create_dataset("data", data=data, chunks=(1, 3, 32, 32), fletcher32=True)
    content = bytearray(path.read_bytes())
    content[content.index(data[4].tobytes()) + 9] ^= 1
    path.write_bytes(content)
    source = open_hdf5(path, None)
    source.load(3)
    with pytest.raises(BadImageError, match=r"x\.h5: image 4: is damaged"):
        source.load(4)


def test_images_of_other_files_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(range(48)) * 2)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data4"] = images(4)
    layout = h5py.VirtualLayout((7, 3, 4, 4), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "data4", (7, 3, 4, 4))

    def external(file):
        kept = [(str(tmp_path / "secret"), 0, 96)]
        file.create_dataset("data4", (2, 3, 4, 4), np.uint8, external=kept)

    cases = {
        "external": external,
        "virtual": lambda file: file.create_virtual_dataset("data4", layout),
        "link": lambda file: file.__setitem__("data4", h5py.ExternalLink("other.h5", "data4")),
        "soft": lambda file: file.__setitem__("data4", h5py.SoftLink("/else/where")),
    }
    for name, write in cases.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            write(file)
        with pytest.raises(UserError, match="data4 must be stored in this file itself. Received:"):
            open_hdf5(tmp_path / f"{name}.h5", None)


def test_a_claim_of_more_images_than_a_file_can_hold_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("data4", (2**40, 3, 4, 4), np.uint8, chunks=(1, 3, 4, 4))
    with pytest.raises(UserError, match=r"damaged: data4 claims to hold uint8 \[1099511627776, 3"):
        open_hdf5(tmp_path / "x.h5", None)
