"""Events that are due every so many images, and the calls of several steps that they end.

Pure functions of the configuration and the schedule, used by training, reporting and planning
alike; hence their place in this room, below all three.
"""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pgan_tf.config import StepKind, TrainConfig
from pgan_tf.config.phases import Phase, Step
from pgan_tf.config.step_kinds import longest_run

Item = TypeVar("Item")

# Of `--steps_per_call=auto` on GPUs: the steps of a call of small images, and the resolution whose
# steps take longer than the host needs to start one.
_MOST_STEPS = 8
_ONE_STEP_RESOLUTION = 256

# Reals, and as many fakes, of a measurement for the diagnosis, unless a minibatch has more.
MEASURED_IMAGES = 32
# Images that are trained on for each that is measured, so that measuring costs below 1 % of the
# time: a measurement takes each image forward through four networks at most, and an iteration has
# the work of about twenty such passes.
_TRAINED_PER_MEASURED = 40
# A long phase is measured so often, which shows its course as well as more often would, ...
_MEASUREMENTS_PER_PHASE = 40
# ... but often enough to find trouble in time.
_LONGEST_KIMG = 20


def is_crossed(interval_kimg: float, before: int, after: int) -> bool:
    """Return whether training passes a multiple of an interval.

    Args:
      interval_kimg: length of the interval, in thousands of images.
      before: images seen at the beginning; a multiple that lies here is not passed again.
      after: images seen at the end; a multiple that lies here is passed.
    """
    images = interval_kimg * 1000
    return after // images > before // images


def due_events(config: TrainConfig, before: int, after: int) -> set[str]:
    """Return the keys of `TrainConfig.intervals_kimg` that are due after some images.

    Args:
      config: a configuration with the intervals.
      before: images seen when events were last looked at.
      after: images seen now.
    """
    return {name for name, kimg in config.intervals_kimg.items() if is_crossed(kimg, before, after)}


def needs_state(config: TrainConfig, first: Step, last: Step) -> bool:
    """Return whether anything but a tick is due after a call, which needs the state itself.

    Args:
      config: a configuration with the intervals.
      first: the first step of the call.
      last: its last step.
    """
    due = due_events(config, first.images_seen, last.images_seen_after)
    ends_phase = last.images_seen_after >= last.phase.end
    return bool(due - {"tick"}) or ends_phase or is_measured(config, first, last)


def measurement_kimg(config: TrainConfig, phase: Phase) -> float:
    """Return the interval of measurements for the diagnosis: a multiple of that of ticks.

    Args:
      config: a configuration with the intervals.
      phase: without a fade.
    """
    cheap = _TRAINED_PER_MEASURED * max(MEASURED_IMAGES, phase.batch_size)
    course = min((phase.end - phase.start) / _MEASUREMENTS_PER_PHASE, 1000 * _LONGEST_KIMG)
    images = max(cheap, course)
    return math.ceil(images / 1000 / config.run.tick_kimg) * config.run.tick_kimg


def is_measured(config: TrainConfig, first: Step, last: Step) -> bool:
    """Return whether both networks are measured for the diagnosis after a call, at its tick.

    Args:
      config: a configuration with the intervals.
      first: the first step of the call.
      last: its last step.
    """
    phase, after = last.phase, last.images_seen_after
    return (
        config.run.diagnose
        and not phase.fading
        and is_crossed(config.run.tick_kimg, first.images_seen, after)
        and is_crossed(measurement_kimg(config, phase), first.images_seen, after)
    )


def steps_per_call(config: TrainConfig, resolution: int, *, on_gpus: bool) -> int:
    """Return the most steps of a call at a stage, as configured or chosen for `auto`.

    Args:
      config: a configuration with `steps_per_call`.
      resolution: of the stage.
      on_gpus: whether the replicas are on GPUs. Starting a call takes the host a millisecond or
        more, in which a GPU takes several steps on small images.
    """
    if config.run.steps_per_call != "auto":
        return config.run.steps_per_call
    return max(1, min(_MOST_STEPS, _ONE_STEP_RESOLUTION // resolution)) if on_gpus else 1


def max_call_length(config: TrainConfig, phase: Phase, *, kind: StepKind, on_gpus: bool) -> int:
    """Return the most steps that a call of `group_into_calls` can have.

    That is `steps_per_call`, or fewer if events or steps of another kind end every call earlier.

    Args:
      config: a configuration with the intervals and `steps_per_call`.
      phase: of the call.
      kind: of the steps of the call.
      on_gpus: whether the replicas are on GPUs.
    """
    most = steps_per_call(config, phase.resolution, on_gpus=on_gpus)
    same_graph = longest_run(config.step_kinds, kind) or most
    shortest_interval = min(config.intervals_kimg.values()) * 1000
    until_due = math.ceil(shortest_interval / phase.batch_size)
    return max(1, min(most, same_graph, until_due))


def group_into_calls(
    steps: Iterable[tuple[Step, Item]], config: TrainConfig, *, on_gpus: bool
) -> Iterator[list[tuple[Step, Item]]]:
    """Group steps into calls of a graph, such that events are due only after the end of a call.

    A call ends after `steps_per_call` steps, at the end of its phase, where a report, a grid, a
    checkpoint, a saved generator or an evaluation is due, and where the next step needs another
    graph (`StepKind`). The first step of each graph is a call of its own: making the
    graph takes long, and only one step's speed goes unmeasured. All workers of a run group alike.

    Args:
      steps: consecutive steps (`Schedule.steps`), each with an item that goes with it.
      config: a configuration with the intervals and `steps_per_call`.
      on_gpus: whether the replicas are on GPUs.

    Yields:
      From 1 to `steps_per_call` steps of one phase.
    """
    call: list[tuple[Step, Item]] = []
    made_graphs: set[tuple[int, StepKind]] = set()
    for step, item in steps:
        call.append((step, item))
        kind = config.step_kind(step.number)
        graph = (step.phase.index, kind)
        if (
            len(call) == steps_per_call(config, step.phase.resolution, on_gpus=on_gpus)
            or step.images_seen_after >= step.phase.end
            or due_events(config, step.images_seen, step.images_seen_after)
            or config.step_kind(step.number + 1) != kind
            or graph not in made_graphs
        ):
            made_graphs.add(graph)
            yield call
            call = []
    if call:
        yield call
