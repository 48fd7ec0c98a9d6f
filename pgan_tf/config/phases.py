"""When which resolution is trained: images_seen -> phase. Plain Python (section 2 of the paper).

The first stage only stabilizes. Every later one fades in over fade_kimg, alpha rising from 0 to 1,
then stabilizes for stabilize_kimg; the last lasts until total_kimg. Everything here is a pure
function of images_seen, so a run continued from a checkpoint does what it would have done
uninterrupted.
"""

import dataclasses
import itertools
from collections.abc import Iterator

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.options import log2


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of training with one graph: a stage's fade, or its stabilization.

    Attributes:
      index: 0 for the first phase of the run.
      resolution: side of the images, in pixels.
      fading: whether alpha rises here; otherwise it is 1.
      start, end: in images; the phase holds start <= images_seen < end.
      fade_images: length of the whole fade, of which a run that ends early sees only a part; 0
        where there is none.
      batch_size: global batch, in images.
      learning_rate: of both networks' Adam, where it is not ramped up or down.
    """

    index: int
    resolution: int
    fading: bool
    start: int
    end: int
    fade_images: int
    batch_size: int
    learning_rate: float

    def alpha(self, images_seen: int) -> float:
        """Weight of the new layers, in [0, 1], for the batch that begins at `images_seen`."""
        if not self.fading:
            return 1.0
        return min(1.0, max(0.0, (images_seen - self.start) / self.fade_images))

    @property
    def name(self) -> str:
        """As people call it: `16x16 fade`."""
        return f"{self.resolution}x{self.resolution} {'fade' if self.fading else 'stabilize'}"


@dataclasses.dataclass(frozen=True)
class Step:
    """One iteration to be run: a batch of real images from `images_seen` on.

    Attributes:
      phase: the phase it belongs to.
      images_seen: real images shown before it.
      alpha: weight of the new layers, in [0, 1].
      learning_rate: of both networks' Adam, ramps included.
    """

    phase: Phase
    images_seen: int
    alpha: float
    learning_rate: float

    @property
    def number(self) -> int:
        """Which step of its phase it is, counted from 0."""
        return (self.images_seen - self.phase.start) // self.phase.batch_size

    @property
    def images_seen_after(self) -> int:
        return self.images_seen + self.phase.batch_size


class Schedule:
    """All phases of a run, in order.

    Attributes:
      phases: consecutive; the first starts at 0, the last ends at `total_images`.
      total_images: where training ends.
    """

    def __init__(self, config: ScheduleConfig, resolution: int):
        """
        Args:
          config: lengths, batch sizes and learning rates.
          resolution: the final resolution.
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
            # A length of 0 is how a user leaves fades or early stages out.
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
                    )
                )
                start = end
        self.phases = tuple(phases)

    def phase_at(self, images_seen: int) -> Phase:
        """The phase that trains on the image after `images_seen`; past the end, the last one."""
        return next((p for p in self.phases if images_seen < p.end), self.phases[-1])

    def steps(self, images_seen: int = 0) -> Iterator[Step]:
        """Every iteration from `images_seen` until the end of training, in order."""
        while images_seen < self.total_images:
            phase = self.phase_at(images_seen)
            learning_rate = phase.learning_rate * self._config.ramp_at(images_seen / 1000)
            step = Step(phase, images_seen, phase.alpha(images_seen), learning_rate)
            yield step
            images_seen = step.images_seen_after


def _stage_lengths(config: ScheduleConfig, resolution: int) -> Iterator[tuple[int, bool, int]]:
    if resolution > config.start_resolution:
        yield resolution, True, _images(config.fade_kimg)
    yield resolution, False, _images(config.stabilize_kimg)


def _images(kimg: float) -> int:
    return round(kimg * 1000)
