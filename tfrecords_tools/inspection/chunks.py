"""Work on many images, cut into chunks and shared by worker processes."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, TypeVar

from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.progress import Progress

Task = TypeVar("Task")
Result = TypeVar("Result")

CHUNK_BYTES = 4 << 20
CHUNK_IMAGES = 1024
# A process takes longer to start than a few chunks to work on.
_CHUNKS_PER_WORKER = 4


def cut_into_chunks(count: int, image_bytes: int) -> list[tuple[int, int]]:
    """Return chunks `start..stop - 1` of `count` images of `image_bytes` each."""
    step = max(1, min(CHUNK_IMAGES, CHUNK_BYTES // image_bytes))
    return [(start, min(start + step, count)) for start in range(0, count, step)]


def run_with_progress(
    function: Callable[[Task], tuple[int, Result]],
    tasks: Sequence[Task],
    num_workers: int,
    num_images: int,
    description: str = "",
) -> Iterator[Result]:
    """Call `function(task)` for every task, and show how many images are done.

    Args:
      function: returns its number of images and its result; sent to each worker once.
      tasks: the chunks.
      num_workers: largest number of processes to use.
      num_images: of all tasks.
      description: of the progress bar.

    Yields:
      The results, in the order in which they are ready.
    """
    workers = min(num_workers, len(tasks) // _CHUNKS_PER_WORKER)
    with (
        Progress(num_images, "images", description) as progress,
        closing(run_unordered(function, tasks, workers)) as results,
    ):
        for number, result in results:
            progress.update(number)
            yield result


class SentToWorkers:
    """A dataclass that is sent to workers by its fields alone: each opens pyramids for itself."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files out."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
        }
