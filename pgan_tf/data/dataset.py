"""Which way the data is read: by record number where it is on disk, as a stream where it is not."""

from collections.abc import Iterable, Iterator

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Step
from pgan_tf.data import batches as data
from pgan_tf.data.batches import WHOLE, Batch, Part
from pgan_tf.data.remote_pyramid import RemotePyramid, is_remote, open_remote_pyramid
from pgan_tf.data.streaming import shuffle_size, stream_batches
from pgan_tf.data.training_data import TrainingData
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid


def open_data(config: TrainConfig) -> TrainingData:
    """Opens the pyramid at `data_dir`, a directory or a URL that TensorFlow can read.

    Raises:
      UserError: what is missing or damaged; or a URL and `deterministic`.
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


def how_it_is_read(pyramid: TrainingData, resolution: int, part: Part = WHOLE) -> str:
    """A line that says what is different about data that is streamed; empty for data on disk.

    Args:
      pyramid: the data.
      resolution: up to which it is trained on.
      part: what of it this worker reads.
    """
    if not isinstance(pyramid, RemotePyramid):
        return ""
    levels = [pyramid.levels[0], pyramid.level(resolution)]
    sizes = [
        f"{shuffle_size(level, part)} images at {level.resolution}x{level.resolution}"
        for level in levels
    ]
    return (
        f"streamed, through a shuffle buffer of {' to '.join(dict.fromkeys(sizes))}; after a"
        " restart the order is another one\n"
    )


def read_batches(
    pyramid: TrainingData, steps: Iterable[Step], *, seed: int, label_size: int, part: Part = WHOLE
) -> Iterator[tuple[Step, Batch]]:
    """Reads or streams the batch of every step; see `data.read_batches` and `stream_batches`.

    Raises:
      UserError: a record is damaged, or can't be read.
    """
    if isinstance(pyramid, RemotePyramid):
        return stream_batches(pyramid, steps, seed=seed, label_size=label_size, part=part)
    return data.read_batches(pyramid, steps, seed=seed, label_size=label_size, part=part)
