"""The schedule of a run: from images_seen to phase and step (section 2 of the paper).

The first stage only stabilizes. Every later one fades in over fade_kimg, alpha rising from 0 to 1,
then stabilizes for stabilize_kimg; the last lasts until total_kimg. Everything here is a pure
function of images_seen, so a run continued from a checkpoint does what it would have done
uninterrupted.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator

from pgan_tf.config.options import log2
from pgan_tf.config.schedule import ScheduleConfig
from tfrecords_tools.shape import SQUARE, Base


@dataclasses.dataclass(frozen=True)
class Phase:
    """The fade of a stage, or its stabilization.

    Attributes:
      index: number of the phase in its run, from 0.
      resolution: of the images.
      fading: whether alpha rises from 0 to 1; otherwise it is 1.
      start, end: the phase holds start <= images_seen < end.
      fade_images: length of the whole fade, which a run that ends early doesn't complete; 0 if the
        phase is no fade.
      batch_size: global batch size.
      learning_rate: Adam's learning rate, for both networks, before ramps.
      base: height and width of images at resolution 4.
    """

    index: int
    resolution: int
    fading: bool
    start: int
    end: int
    fade_images: int
    batch_size: int
    learning_rate: float
    base: Base = SQUARE

    def alpha(self, images_seen: int) -> float:
        """Return the weight of the new layers, in [0, 1], for the batch that begins here."""
        if not self.fading:
            return 1.0
        return min(1.0, max(0.0, (images_seen - self.start) / self.fade_images))

    @property
    def name(self) -> str:
        """The name that reports use, such as `16x16 fade`."""
        return f"{self.size_text} {'fade' if self.fading else 'stabilize'}"

    @property
    def size_text(self) -> str:
        """The size of the images in words: `96x64`, the width first."""
        return self.base.text_at(self.resolution)

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""
        return math.prod(self.base.size_at(self.resolution))


@dataclasses.dataclass(frozen=True)
class Step:
    """The settings of one iteration, on the batch of real images that begins at `images_seen`.

    Attributes:
      phase: the phase that the step belongs to.
      images_seen: real images shown before the step.
      alpha: weight of the new layers, in [0, 1].
      learning_rate: Adam's learning rate, for both networks, ramps included.
    """

    phase: Phase
    images_seen: int
    alpha: float
    learning_rate: float

    @property
    def number(self) -> int:
        """The number of the step in its phase, from 0."""
        return (self.images_seen - self.phase.start) // self.phase.batch_size

    @property
    def images_seen_after(self) -> int:
        """Real images shown once the step is done."""
        return self.images_seen + self.phase.batch_size


class Schedule:
    """All phases of a run, in order.

    Attributes:
      phases: consecutive phases; the first starts at 0, the last ends at `total_images`.
      total_images: real images shown in the whole run.
    """

    def __init__(self, config: ScheduleConfig, resolution: int, base: Base = SQUARE):
        """Lay out the phases.

        Args:
          config: lengths, batch sizes and learning rates.
          resolution: the final resolution.
          base: height and width of images at resolution 4.
        """
        self._config = config
        self.total_images = _images(config.total_kimg)
        lengths = itertools.chain.from_iterable(
            _stage_lengths(config, 2**r)
            for r in range(log2(config.start_resolution), log2(resolution) + 1)
        )
        phases: list[Phase] = []
        start = 0
        for stage_resolution, fading, length in lengths:
            last = stage_resolution == resolution and not fading
            end = self.total_images if last else min(start + length, self.total_images)
            # Users leave out fades or early stages by giving them a length of 0.
            if end > start:
                phases.append(
                    Phase(
                        index=len(phases),
                        resolution=stage_resolution,
                        fading=fading,
                        start=start,
                        end=end,
                        fade_images=length if fading else 0,
                        batch_size=config.batch_size_at(stage_resolution),
                        learning_rate=config.learning_rate_at(stage_resolution),
                        base=base,
                    )
                )
                start = end
        self.phases = tuple(phases)

    def phase_at(self, images_seen: int) -> Phase:
        """Return the phase of the batch that begins at `images_seen`; past the end, the last."""
        return next((p for p in self.phases if images_seen < p.end), self.phases[-1])

    def phases_from(self, images_seen: int) -> tuple[Phase, ...]:
        """Return the phases that have not ended before `images_seen`."""
        return tuple(phase for phase in self.phases if images_seen < phase.end)

    def steps(self, images_seen: int = 0) -> Iterator[Step]:
        """Yield every step from `images_seen` to the end of the run, in order."""
        while images_seen < self.total_images:
            phase = self.phase_at(images_seen)
            learning_rate = phase.learning_rate * self._config.ramp_at(images_seen / 1000)
            step = Step(phase, images_seen, phase.alpha(images_seen), learning_rate)
            yield step
            images_seen = step.images_seen_after


def _stage_lengths(config: ScheduleConfig, resolution: int) -> Iterator[tuple[int, bool, int]]:
    """Yield the phases of a stage as (resolution, fading, length in images)."""
    if resolution > config.start_resolution:
        yield resolution, True, _images(config.fade_kimg)
    yield resolution, False, _images(config.stabilize_kimg)


def _images(kimg: float) -> int:
    return round(kimg * 1000)
