"""When something is due, by images_seen, and which steps may go together until then."""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Step

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


def every_interval(config: TrainConfig, images_seen: int) -> dict[str, Every]:
    """Says of everything that happens between steps when it is due, counted from `images_seen`."""
    return {name: Every(kimg, images_seen) for name, kimg in config.intervals_kimg.items()}


def longest_call(config: TrainConfig, batch_size: int, *, trains_generator: bool) -> int:
    """How many steps a call takes at most: `steps_per_call`, or fewer where none can have so many.

    Args:
      config: with the intervals and `discriminator_steps`.
      batch_size: of the phase.
      trains_generator: whether it is of the call's steps that train the generator too.
    """
    shortest = min(config.intervals_kimg.values()) * 1000
    alike = config.run.steps_per_call
    if config.optimizer.discriminator_steps > 1:
        alike = 1 if trains_generator else config.optimizer.discriminator_steps - 1
    return max(1, min(config.run.steps_per_call, alike, math.ceil(shortest / batch_size)))


def in_calls(
    steps: Iterable[tuple[Step, Given]], config: TrainConfig
) -> Iterator[list[tuple[Step, Given]]]:
    """Groups steps into calls of a graph, so that whatever is due is due after a call.

    A call ends where a report, a grid, a checkpoint, a network or an evaluation is due, at the end
    of its phase, where the next step would have another graph (`discriminator_steps`), and after
    `steps_per_call` steps. The step for which a graph is made is alone, so that the time it takes
    is left out of one step's speed, not of many's. All workers of a run group alike.

    Args:
      steps: consecutive ones (`Schedule.steps`), each with something that goes with it.
      config: with `steps_per_call` and the intervals.

    Yields:
      From 1 to `steps_per_call` steps of one phase.
    """
    trains = config.optimizer.trains_generator
    call: list[tuple[Step, Given]] = []
    intervals: dict[str, Every] | None = None
    made: set[tuple[int, bool]] = set()
    for step, given in steps:
        if intervals is None:
            intervals = every_interval(config, step.images_seen)
        call.append((step, given))
        seen, graph = step.images_seen_after, (step.phase.index, trains(step.number))
        # Each is asked, since asking moves its mark.
        due = [every.due(seen) for every in intervals.values()]
        if (
            len(call) == config.run.steps_per_call
            or any(due)
            or seen >= step.phase.end
            or trains(step.number) != trains(step.number + 1)
            or graph not in made
        ):
            made.add(graph)
            yield call
            call = []
    if call:
        yield call
