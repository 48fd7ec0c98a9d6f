"""Errors of exhausted memory; the messages are TensorFlow's, XLA's, Keras's and CUDA's own."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.distribution.out_of_memory import explain_out_of_memory, is_out_of_memory
from tfrecords_tools.errors import UserError

errors = tf.errors

MEMORY = [
    (
        errors.ResourceExhaustedError,
        "OOM when allocating tensor with shape[4,16,1024,1024] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc [Op:Conv2D]",
    ),
    (errors.ResourceExhaustedError, "Out of memory while trying to allocate 68852648264 bytes."),
    (
        errors.ResourceExhaustedError,
        "Graph execution error:\n\nFailed to allocate memory for convolution redzone checking",
    ),
    # cuDNN, when no algorithm's work space fits.
    (errors.NotFoundError, "No algorithm worked!"),
    (
        errors.NotFoundError,
        "2 root error(s) found.\n  (0) NOT_FOUND:  No algorithm worked!  Error messages:\n"
        "  Profiling failure on CUDNN engine eng11{}: UNKNOWN: CUDNN_STATUS_ALLOC_FAILED\n"
        "in tensorflow/compiler/xla/stream_executor/cuda/cuda_dnn.cc(5333): 'status'",
    ),
    (
        errors.UnknownError,
        "CUDNN failed to allocate the scratch space for the runner or to find a working "
        "no-scratch runner. [Op:Conv2D]",
    ),
    (
        errors.InternalError,
        "Failed to load in-memory CUBIN: CUDA_ERROR_OUT_OF_MEMORY: out of memory\n"
        "\t [[{{node StatefulPartitionedCall}}]] [Op:__inference_train_function_50056]",
    ),
    (errors.InternalError, "Failed to allocate 4294967296 bytes for new constant"),
    (errors.InternalError, "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 "
                           "bytes."),
    (errors.InternalError, "failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED"),
    (errors.AbortedError, "Exceeded memory limit (failed to allocate 1073741824 bytes)"),
    # Keras rewrites errors that a layer raises.
    (RuntimeError, "Exception encountered when calling Conv2D.call().\n\n{{function_node "
                   "__wrapped__Conv2D}} OOM when allocating tensor with shape[64,512,256,256]"),
]  # fmt: skip

OTHERS = [
    (errors.ResourceExhaustedError, "runs/faces/events.out.tfevents.1; No space left on device"),
    (errors.ResourceExhaustedError, "data/faces-r02.tfrecords; Too many open files"),
    (errors.ResourceExhaustedError, "Received message larger than max (5242892 vs. 4194304)"),
    (errors.NotFoundError, "data/faces-r02.tfrecords; No such file or directory"),
    (errors.InternalError, "failed call to cuInit: CUDA_ERROR_NO_DEVICE"),
    (errors.InternalError, "Blas GEMM launch failed"),
    (RuntimeError, "Physical devices cannot be modified after being initialized"),
]


def make(kind, message):
    is_tensorflows = issubclass(kind, errors.OpError)
    return kind(None, None, message) if is_tensorflows else kind(message)


@pytest.mark.parametrize(("kind", "message"), MEMORY)
def test_exhausted_memory_is_recognized_in_every_form(kind, message):
    assert is_out_of_memory(make(kind, message))


@pytest.mark.parametrize(("kind", "message"), OTHERS)
def test_other_errors_are_not_taken_for_it(kind, message):
    assert not is_out_of_memory(make(kind, message))


def test_the_hosts_memory_counts_and_users_words_do_not():
    with pytest.raises(MemoryError) as caught:
        np.empty(2**62, np.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(UserError("--network=out of memory: no such file"))
    assert not is_out_of_memory(ValueError("failed to allocate"))


def test_the_explanation_quotes_the_line_that_speaks_of_memory():
    with pytest.raises(UserError) as caught, explain_out_of_memory("give a smaller --batch_size"):
        raise make(*MEMORY[4])
    assert str(caught.value) == (
        "out of memory: give a smaller --batch_size. TensorFlow says: (0) NOT_FOUND:  No algorithm "
        "worked!  Error messages:"
    )
    assert isinstance(caught.value.__cause__, errors.NotFoundError)


def test_other_errors_pass_as_they_are():
    error = make(*OTHERS[3])
    with pytest.raises(errors.NotFoundError) as caught, explain_out_of_memory("less"):
        raise error
    assert caught.value is error
