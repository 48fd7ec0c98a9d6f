"""Checkpoints that others may have written, opened after checks of their files."""

import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.regular_file import require_regular


def open_checkpoint(path: Path) -> Any:
    """Return TensorFlow's reader of a checkpoint whose tensors are no larger than its files.

    TensorFlow gives memory to a tensor of any size before it looks for its values.

    Args:
      path: of its files without their suffixes.

    Raises:
      UserError: it holds something other than files, or claims to hold more than it does.
      Exception: TensorFlow's, of any kind, for a damaged file.
    """
    stored = 0
    for file in path.parent.glob(f"{path.name}.*"):
        require_regular(file)
        stored += file.stat().st_size
    reader = tf.train.load_checkpoint(str(path))
    types = reader.get_variable_to_dtype_map()
    claimed = sum(
        math.prod(shape) * types[name].size
        for name, shape in reader.get_variable_to_shape_map().items()
        if types[name] != tf.string
    )
    if claimed > stored:
        raise UserError(f"{path}: claims to hold {claimed} bytes in files of {stored} bytes")
    return reader
