"""The section of the schedule: lengths of stages, batch sizes, learning rates."""

import dataclasses
import math
from collections.abc import Mapping

from pgan_tf.config.options import (
    option,
    require_at_least,
    require_positive,
    require_resolution,
    require_resolutions,
)


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """Lengths of stages, batch sizes and learning rates.

    Raises:
      ValueError: a value is out of its range, or values contradict each other.
    """

    start_resolution: int = option(
        4, "Resolution of the first stage, which has no fade: a power of two from 4."
    )
    stabilize_kimg: float = option(
        600.0, "Thousands of images that each stage trains for after its fade."
    )
    fade_kimg: float = option(600.0, "Thousands of images over which each new stage fades in.")
    total_kimg: float = option(
        15000.0,
        "Thousands of images in the whole run; the last stage trains until then.",
        adjustable=True,
    )
    batch_size: int = option(
        16,
        "Global batch size, in images over all replicas, at the resolutions that "
        "--batch_size_by_resolution leaves out.",
    )
    batch_size_by_resolution: Mapping[int, int] = option(
        {}, "Global batch sizes by resolution, such as 4:128,8:128. Default: --batch_size for all."
    )
    learning_rate: float = option(
        0.001,
        "Adam's learning rate at the resolutions that --learning_rate_by_resolution leaves out.",
    )
    learning_rate_by_resolution: Mapping[int, float] = option(
        {},
        "Learning rates by resolution, such as 512:0.0015,1024:0.002. Default: --learning_rate for "
        "all.",
    )
    rampup_kimg: float = option(
        0.0,
        "Thousands of images at the start of the run over which the learning rate rises, by the "
        "factor exp(-5 (1 - t)^2) with t from 0 to 1; 0: no ramp.",
    )
    rampdown_kimg: float = option(
        0.0,
        "Thousands of images at the end of the run over which the learning rate falls linearly to "
        "0; 0: no ramp.",
    )

    def __post_init__(self) -> None:
        require_resolution("start_resolution", self.start_resolution)
        for name in ("stabilize_kimg", "fade_kimg", "rampup_kimg", "rampdown_kimg"):
            require_at_least(name, getattr(self, name), 0)
        for name in ("total_kimg", "learning_rate"):
            require_positive(name, getattr(self, name))
        require_at_least("total_kimg", self.total_kimg, 0.001)
        require_at_least("batch_size", self.batch_size, 1)
        for name in ("batch_size_by_resolution", "learning_rate_by_resolution"):
            require_resolutions(name, getattr(self, name))
        for resolution, batch_size in self.batch_size_by_resolution.items():
            require_at_least(f"batch_size_by_resolution at {resolution}", batch_size, 1)
        for resolution, learning_rate in self.learning_rate_by_resolution.items():
            require_positive(f"learning_rate_by_resolution at {resolution}", learning_rate)
        # A run may end during the ramp-up: people cut a long run short to try it.
        if self.rampdown_kimg and self.rampup_kimg + self.rampdown_kimg > self.total_kimg:
            raise ValueError(
                f"rampdown_kimg must leave {self.rampup_kimg:g} of {self.total_kimg:g} kimg to "
                f"--rampup_kimg. Received: {self.rampdown_kimg}"
            )

    def batch_size_at(self, resolution: int) -> int:
        """Return the global batch size at `resolution`."""
        return self.batch_size_by_resolution.get(resolution, self.batch_size)

    def learning_rate_at(self, resolution: int) -> float:
        """Return Adam's learning rate at `resolution`, before ramps."""
        return self.learning_rate_by_resolution.get(resolution, self.learning_rate)

    def ramp_at(self, kimg: float) -> float:
        """Return the factor of all learning rates after `kimg`, in [0, 1]; 1 between ramps."""
        ramp = 1.0
        if kimg < self.rampup_kimg:
            ramp = math.exp(-5 * (1 - kimg / self.rampup_kimg) ** 2)
        if self.rampdown_kimg:
            ramp *= min(1.0, max(0.0, (self.total_kimg - kimg) / self.rampdown_kimg))
        return ramp
