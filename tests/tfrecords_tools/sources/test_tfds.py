"""Data sets that tensorflow-datasets prepared, against its own reader."""

import functools
import os
import pickle
import struct
from pathlib import Path

import crc32c
import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.sources.tfds import open_tfds, parse_name
from tfrecords_tools.sources.tfds_records import RecordRange, find_features, index_records

FASHION = Path("/usr/share/datasets/fashion-mnist")
AUTO = ImagePolicy(channels=0, resolution=0)


@pytest.fixture(scope="module")
def tfds():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow_datasets")


def opened(source, data_dir, manual_dir=None, policy=AUTO, labels=None, skip=False, lines=None):
    say = (lines if lines is not None else []).append
    return open_tfds(source, data_dir, manual_dir, policy, labels, 1, skip, say)


@pytest.fixture(scope="module")
def pets(tfds, tmp_path_factory):
    """The folder of a data set that tensorflow-datasets itself made from its ImageFolder."""
    folder, data_dir = tmp_path_factory.mktemp("folder"), tmp_path_factory.mktemp("tfds")
    for split, count in (("train", 11), ("test", 3)):
        for number in range(count):
            path = folder / split / ("cats" if number % 3 else "dogs") / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([number, count]).integers(0, 256, (16, 20, 3), np.uint8)
            Image.fromarray(pixels).save(path)
    builder = tfds.ImageFolder(str(folder), shape=(None, None, 3))
    tfds.dataset_builders.store_as_tfds_dataset(
        name="pets",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(None, None, 3)),
             "label": tfds.features.ClassLabel(names=["cats", "dogs"])}
        ),
        split_datasets={
            split: builder.as_dataset(split).map(
                lambda example: {"image": example["image"], "label": example["label"]}
            )
            for split in ("train", "test")
        },
        data_dir=str(data_dir),
        disable_shuffling=True,
    )  # fmt: skip
    return data_dir


def as_the_library_reads(tfds, name, data_dir, split):
    dataset = tfds.builder(name, data_dir=data_dir).as_dataset(split, shuffle_files=False)
    examples = list(tfds.as_numpy(dataset))
    return [example["image"] for example in examples], [example["label"] for example in examples]


@pytest.mark.parametrize(
    "split", ["train", "test", "train[:40%]", "train[3:7]", "test+train[-2:]", "train[5:6]"]
)
def test_the_images_are_those_of_the_library_in_its_order(tfds, pets, split):
    source = opened(f"tfds:pets:{split}", pets)
    images, labels = as_the_library_reads(tfds, "pets", pets, split)
    assert (source.count, source.channels, source.resolution) == (len(images), 3, 16)
    assert source.label_names == ("cats", "dogs") and source.shuffled
    np.testing.assert_array_equal(source.labels(), np.eye(2, dtype=np.float32)[labels])
    for index, image in enumerate(images):
        np.testing.assert_array_equal(source.load(index), image[:, 2:18].transpose(2, 0, 1))


def test_images_are_treated_as_those_of_a_folder_and_labels_left_out_if_asked(pets):
    policy = ImagePolicy(channels=1, resolution=32, crop="pad", allow_upscale=True)
    source = opened("tfds:pets", pets, policy=policy, labels=False)
    assert source.labels() is None and source.load(0).shape == (1, 32, 32)
    assert source.describe()["kind"] == "tfds:pets"


def test_a_worker_needs_no_tensorflow(pets):
    source = opened("tfds:pets", pets)
    expected = source.load(4)
    data = pickle.dumps(source)
    assert b"tensorflow" not in data and b"tfds.features" not in data
    np.testing.assert_array_equal(pickle.loads(data).load(4), expected)


def test_a_flipped_byte_is_found(pets, tmp_path):
    (file,) = pets.glob("pets/1.0.0/*-train.*-00000-of-*")
    content = bytearray(file.read_bytes())
    source = opened("tfds:pets", pets)
    _, offset, _, image, image_bytes = source.files.places[3]
    content[offset + image + image_bytes // 2] ^= 1
    copy = tmp_path / file.name
    copy.write_bytes(content)
    files, _ = index_records(tmp_path, [RecordRange(copy, 0, 11)], "image", "label")
    files.open(2, 1 << 20)
    with pytest.raises(BadImageError, match=rf"byte {offset - 12}: is damaged: its checksum"):
        files.open(3, 1 << 20)
    copy.write_bytes(content[:-200])
    with pytest.raises(UserError, match=r"damaged or truncated at byte \d+; 11 records expected"):
        index_records(tmp_path, [RecordRange(copy, 0, 11)], "image", "label")
    for content in (b"", b"nothing of the sort"):
        copy.write_bytes(content)
        with pytest.raises(UserError, match="damaged or truncated at byte 0"):
            index_records(tmp_path, [RecordRange(copy, 0, 11)], "image", "label")
    with pytest.raises(UserError, match="no such file; the data set is incomplete"):
        index_records(tmp_path, [RecordRange(tmp_path / "gone", 0, 1)], "image", "label")


def test_features_are_found_in_any_order_and_encoding():
    def field(tag, data):
        return bytes([tag, len(data)]) + data

    def entry(name, feature):
        return field(0x0A, field(0x0A, name) + field(0x12, feature))

    image = entry(b"image", field(0x0A, field(0x0A, b"PNG")))
    packed = entry(b"label", field(0x1A, field(0x0A, b"\xac\x02")))
    loose = entry(b"label", field(0x1A, b"\x08\x07"))
    other = entry(b"other", field(0x12, b""))
    for entries in ((image, packed), (packed, other, image), (loose, image)):
        example = field(0x0A, b"".join(entries))
        found = find_features(memoryview(example), ["image", "label"])
        assert example[slice(*found["image"])] == b"PNG"
        assert example[slice(*found["label"])] in (b"\xac\x02", b"\x07")
    for damaged in (b"", b"\x0a", b"\x0a\x05abc", field(0x0A, image), field(0x0A, other + image)):
        with pytest.raises((ValueError, IndexError)):
            find_features(memoryview(damaged), ["image", "label"])


def test_a_record_without_the_features_is_named(tmp_path):
    def masked(data):
        crc = crc32c.crc32c(data)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    head, body = struct.pack("<Q", 2), b"\x0a\x00"
    (tmp_path / "x").write_bytes(head + masked(head) + body + masked(body))
    with pytest.raises(UserError, match="x: record at byte 0: damaged, or without image: no image"):
        index_records(tmp_path, [RecordRange(tmp_path / "x", 0, 1)], "image", None)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("tfds:mnist", ("mnist", "train")),
        ("tfds:mnist:test", ("mnist", "test")),
        ("tfds:mnist:3.0.1", ("mnist:3.0.1", "train")),
        ("tfds:celeb_a_hq/1024:2.*.*:train[:10%]", ("celeb_a_hq/1024:2.*.*", "train[:10%]")),
    ],
)
def test_the_name_may_have_a_version_and_a_split(source, expected):
    assert parse_name(source) == expected


@pytest.mark.parametrize("source", ["tfds:", "tfds::train", "tfds:mnist:"])
def test_a_name_is_needed(source):
    with pytest.raises(UserError, match=r"must be tfds:NAME or tfds:NAME:SPLIT\. Received: tfds:"):
        parse_name(source)


def test_unknown_data_sets_and_splits_are_refused(pets):
    with pytest.raises(UserError, match="tfds:no_such_thing: no such data set"):
        opened("tfds:no_such_thing", pets)
    with pytest.raises(UserError, match=r"the splits are train, test, .* Received: validation"):
        opened("tfds:pets:validation", pets)


def test_a_download_that_fails_is_one_clear_error(tfds, tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("Network is unreachable\nand much more")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", unreachable)
    with pytest.raises(UserError, match="cannot be downloaded or prepared: ConnectionError: Netw"):
        opened("tfds:mnist", tmp_path)


def test_a_data_set_without_images_is_refused_before_it_is_downloaded(tfds, tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", None)
    with pytest.raises(UserError, match="must have one 8-bit image .* Received: text: Text, label"):
        opened("tfds:imdb_reviews", tmp_path)
    with pytest.raises(UserError, match="--labels=classes needs one class for each image"):
        opened("tfds:celeb_a_hq", tmp_path, labels=True)


def test_files_to_be_downloaded_by_hand_are_asked_for(tfds, tmp_path):
    with pytest.raises(UserError, match="Manual directory .*; --manual_dir says where such files"):
        opened("tfds:celeb_a_hq", tmp_path)


def seeded(folder):
    """Write the files as published; Debian's differ from them in the gzip header alone."""
    for path in FASHION.glob("*.gz"):
        data = path.read_bytes()
        time = 0x59A7E9DE if path.name.startswith("train") else 0x59A7E9F3
        head = b"\x1f\x8b\x08\x08" + struct.pack("<I", time) + data[8:10]
        (folder / path.name).write_bytes(head + path.stem.encode() + b"\0" + data[10:])
    return folder


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_goes_through_the_librarys_own_download(tfds, tmp_path, monkeypatch):
    # The real builder: it checks the published checksums and encodes the images. Few of them, for
    # the sake of time.
    few = functools.partial(
        tfds.download.DownloadConfig, max_examples_per_split=150, force_checksums_validation=True
    )
    monkeypatch.setattr(tfds.download, "DownloadConfig", few)
    manual, data_dir = tmp_path / "manual", tmp_path / "data"
    manual.mkdir()
    policy = ImagePolicy(channels=0, resolution=32, allow_upscale=True, resize="nearest")
    lines = []
    source = opened("tfds:fashion_mnist", data_dir, seeded(manual), policy, lines=lines)
    assert f"Downloading and preparing fashion_mnist in {data_dir}" in lines[0]
    assert (source.count, source.channels, source.resolution) == (150, 1, 32)
    assert len(source.label_names) == 10 and "Sandal" in source.label_names
    images, labels = as_the_library_reads(tfds, "fashion_mnist", data_dir, "train")
    np.testing.assert_array_equal(source.labels().argmax(1), labels)
    place = (np.arange(32) * 28 + 14) // 32  # nearest
    for index, image in enumerate(images):
        np.testing.assert_array_equal(source.load(index)[0], image[:, :, 0][np.ix_(place, place)])
