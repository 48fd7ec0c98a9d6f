import os

import pytest
import tensorflow as tf

from pgan_tf.runs.checkpoint_reader import open_checkpoint
from tfrecords_tools.errors import UserError


def save(path, **claims):
    """Writes two numbers; `claims` are the shapes of tensors that they are said to be a part of."""
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=["x", *claims],
        shape_and_slices=["", *claims.values()],
        tensors=[tf.constant([1.0, 2.0]), *(tf.zeros([1, 1]) for _ in claims)],
    )


def test_a_whole_checkpoint_is_opened(tmp_path):
    save(tmp_path / "state", y="1 1 0,1:0,1")
    assert open_checkpoint(tmp_path / "state").get_tensor("x").tolist() == [1, 2]


@pytest.mark.parametrize("rows", [10**3, 10**12])
def test_tensors_larger_than_their_files_take_no_memory(tmp_path, rows):
    save(tmp_path / "state", y=f"{rows} 1 0,1:0,1")
    with pytest.raises(UserError, match=rf"state: claims to hold {4 * rows + 8} bytes in files of"):
        open_checkpoint(tmp_path / "state")


def test_a_pipe_in_the_place_of_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "state.index")
    with pytest.raises(UserError, match="a pipe"):
        open_checkpoint(tmp_path / "state")
