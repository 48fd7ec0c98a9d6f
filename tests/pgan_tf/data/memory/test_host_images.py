import gc
import itertools

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.data.memory import host_images
from pgan_tf.data.memory.buffers import Buffers
from pgan_tf.data.memory.host_images import stacked_images

MANY = (4, 3, 512, 512)  # 3 MB
FEW = (4, 3, 8, 8)


def images_of(shape, seed=0):
    images = Buffers().empty(shape)
    images[...] = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return images


def address(array):
    return array.ctypes.data


def address_of_tensor(tensor):
    return address(np.asarray(memoryview(tensor)))


@pytest.mark.parametrize("shape", [FEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("batches", [1, 3])
def test_the_tensor_has_the_images(shape, batches):
    given = [images_of(shape, seed) for seed in range(batches)]
    tensor = stacked_images(given)
    assert tensor.dtype == tf.uint8
    np.testing.assert_array_equal(tensor, np.stack(given))


def test_many_images_are_not_copied():
    images = images_of(MANY)
    assert address_of_tensor(stacked_images([images])) == address(images)
    assert address_of_tensor(tf.constant(images)) != address(images)


@pytest.mark.parametrize(
    "take",
    [lambda images: images[1::2], lambda images: images.reshape(-1)[3:-5].reshape(-1, 1, 1, 4)],
    ids=["every second", "not aligned"],
)
def test_images_that_cannot_be_shared_are_copied(take):
    images = take(images_of((8, 3, 512, 512)))
    expected = images.copy()
    memory = {address(host_images._buffers.empty((1, *images.shape)))}  # given back at once
    tensor = stacked_images([images])
    assert address_of_tensor(tensor) in memory
    images[...] = 0
    np.testing.assert_array_equal(tensor[0], expected)


def test_stacked_tensors_do_not_share_memory():
    given = [images_of(MANY, seed) for seed in range(4)]
    tensors = [stacked_images([given[i], given[i + 1]]) for i in range(3)]
    for number, tensor in enumerate(tensors):
        np.testing.assert_array_equal(tensor, np.stack(given[number : number + 2]))


def test_a_tensor_keeps_its_images_as_long_as_they_are_used():
    buffers = Buffers()
    images = buffers.empty(MANY)
    images[...] = 7
    mean = tf.function(lambda shown: tf.reduce_mean(tf.cast(shown, tf.float32)))
    tensor = stacked_images([images])
    del images
    gc.collect()
    buffers.empty(MANY)[...] = 9
    assert float(mean(tensor)) == 7


def test_memory_comes_back_once_no_tensor_uses_it():
    buffers = Buffers()
    where = set()
    for number in range(20):
        images = buffers.empty(MANY)
        images[...] = number
        where.add(address(images))
        assert int(stacked_images([images])[0, 0, 0, 0, 0]) == number
        del images
    # The last reference is dropped by the call after.
    assert len(where) <= 3


def test_each_device_gets_its_images():
    for device, seed in itertools.product(["CPU:0", "CPU:1"], range(2)):
        images = images_of(MANY, seed)
        with tf.device(device):
            tensor = stacked_images([images])
        assert tensor.device.endswith(device)
        np.testing.assert_array_equal(tensor[0], images)
