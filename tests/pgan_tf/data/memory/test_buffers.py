import gc
import weakref

import numpy as np
import pytest

from pgan_tf.data.memory.buffers import ALIGNMENT, Buffers

SHAPE = (2, 3, 8, 8)


def address(array):
    return array.ctypes.data


def test_arrays_are_of_the_shape_asked_for():
    buffers = Buffers()
    kept = [buffers.empty(SHAPE) for _ in range(5)]
    assert len({address(array) for array in kept}) == 5
    for array in kept:
        assert array.shape == SHAPE
        assert array.dtype == np.uint8
        array[...] = 1  # may be written to


def test_memory_is_used_again_once_no_reference_is_left():
    buffers = Buffers()
    first = buffers.empty(SHAPE)
    where = address(first)
    del first
    assert address(buffers.empty(SHAPE)) == where


@pytest.mark.parametrize(
    "refer",
    [
        lambda array: array[1:, :, ::2].T,
        lambda array: array.reshape(-1)[5:].view(np.int8),
        lambda array: memoryview(array),
    ],
    ids=["a view of a view", "another type", "a memoryview"],
)
def test_memory_is_kept_as_long_as_a_reference_is_left(refer):
    buffers = Buffers()
    array = buffers.empty(SHAPE)
    array[...] = 7
    referring = refer(array)
    del array
    gc.collect()
    buffers.empty(SHAPE)[...] = 1
    assert (np.asarray(referring) == 7).all()


def test_memory_of_an_earlier_stage_is_freed():
    buffers = Buffers()
    of_before = buffers.empty(SHAPE)
    memory = weakref.ref(of_before.base.base.obj)
    assert memory().nbytes == of_before.nbytes
    of_now = buffers.empty((1, 1, 4, 4))
    assert of_now.shape == (1, 1, 4, 4)
    del of_before
    assert memory() is None


@pytest.mark.parametrize("size", [1, 63, 64, 1000])
def test_arrays_are_aligned_for_tensorflow(size):
    buffers = Buffers()
    kept = [buffers.empty((size,)) for _ in range(5)]
    assert [address(array) % ALIGNMENT for array in kept] == [0] * 5
    assert [array.size for array in kept] == [size] * 5
