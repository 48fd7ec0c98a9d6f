"""The dataset interface used in training: open a pyramid, read its batches.

A pyramid on disk is read by record number, one behind a URL as a stream.
"""

from collections.abc import Generator, Iterable

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Step
from pgan_tf.data import batches
from pgan_tf.data.batches import Batch
from pgan_tf.data.remote import is_remote, open_remote_pyramid
from pgan_tf.data.streaming import shuffle_size, stream_batches
from pgan_tf.data.worker_data import WorkerData
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid, open_pyramid


def open_data(config: TrainConfig) -> Pyramid:
    """Open the pyramid at `data_dir`, a directory or a URL that TensorFlow can read.

    Raises:
      UserError: something is missing or damaged; or for a URL together with `deterministic`.
    """
    data_dir = config.data.data_dir
    if not is_remote(data_dir):
        return open_pyramid(data_dir)
    if config.run.deterministic:
        raise UserError(
            f"--deterministic needs a pyramid on a local disk: a stream has another order after a"
            f" restart. Received: --data_dir={data_dir}"
        )
    return open_remote_pyramid(data_dir)


def read_batches(
    data: WorkerData, steps: Iterable[Step]
) -> Generator[tuple[Step, Batch], None, None]:
    """Read or stream the batch of every step, some steps ahead of the one that is asked for.

    Raises:
      UserError: a record is damaged, or can't be read.
    """
    read = stream_batches if data.pyramid.is_remote else batches.read_batches
    return read(data, steps)


def describe_stream(pyramid: Pyramid, resolution: int) -> str:
    """Return a line about the order of data that is streamed; empty for data on disk.

    Args:
      pyramid: the data.
      resolution: the largest that is trained.
    """
    if not pyramid.is_remote:
        return ""
    levels = [pyramid.levels[0], pyramid.level(resolution)]
    sizes = [f"{shuffle_size(level)} images at {level.size_text}" for level in levels]
    return (
        f"streamed, through a shuffle buffer of {' to '.join(dict.fromkeys(sizes))}; after a"
        " restart the order is another one"
    )
