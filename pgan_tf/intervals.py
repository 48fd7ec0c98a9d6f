"""When something is due, by images_seen, and which steps may go together until then."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pgan_tf.config import TrainConfig
from pgan_tf.schedule import Step

Given = TypeVar("Given")


class Every:
    """Says when an interval of images has been crossed, whatever the batch size.

    `due` is true once for each multiple of the interval that is reached or passed.
    """

    def __init__(self, interval_kimg: float, images_seen: int):
        """
        Args:
          interval_kimg: thousands of images between events.
          images_seen: where counting begins; its own interval counts as done.
        """
        self._images = interval_kimg * 1000
        self._done = images_seen // self._images

    def due(self, images_seen: int) -> bool:
        """Whether a multiple of the interval lies after the last one seen, up to `images_seen`."""
        reached = images_seen // self._images
        crossed = reached > self._done
        self._done = reached
        return crossed


def in_calls(
    steps: Iterable[tuple[Step, Given]], config: TrainConfig
) -> Iterator[list[tuple[Step, Given]]]:
    """Groups steps into calls of a graph, so that whatever is due is due after a call.

    A call ends where a report, a grid, a checkpoint, a network or an evaluation is due, at the end
    of its phase, where the next step would have another graph (`discriminator_steps`), and after
    `steps_per_call` steps. All workers of a run group alike.

    Args:
      steps: consecutive ones (`Schedule.steps`), each with something that goes with it.
      config: with `steps_per_call` and the intervals.

    Yields:
      From 1 to `steps_per_call` steps of one phase.
    """
    call: list[tuple[Step, Given]] = []
    intervals: list[Every] | None = None
    for step, given in steps:
        if intervals is None:
            intervals = [Every(kimg, step.images_seen) for kimg in config.intervals_kimg]
        call.append((step, given))
        seen = step.images_seen_after
        trains = config.optimizer.trains_generator
        # Each is asked, since asking moves its mark.
        due = [every.due(seen) for every in intervals]
        if (
            len(call) == config.run.steps_per_call
            or any(due)
            or seen >= step.phase.end
            or trains(step.number) != trains(step.number + 1)
        ):
            yield call
            call = []
    if call:
        yield call
