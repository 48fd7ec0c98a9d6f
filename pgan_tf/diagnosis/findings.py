"""Verdicts of checks on a tick, and the findings that come of them."""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence

from pgan_tf.config import TrainConfig
from pgan_tf.diagnosis.history import LOSS, Tick


class Verdict(enum.Enum):
    """A tick without a sign of trouble: it shows that there is none, or it can't tell."""

    HEALTHY = enum.auto()
    UNKNOWN = enum.auto()


@dataclasses.dataclass(frozen=True)
class Sign:
    """A sign of trouble at a tick.

    Attributes:
      seen: what was seen, with its figures; a clause.
      advice: what to do, and why it would help; a clause.
      flags: values of flags by name to train on with; empty if no flag helps.
    """

    seen: str
    advice: str
    flags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Subject:
    """The run that is looked at.

    Attributes:
      config: with the values filled in that come from the data.
      num_images: number of images that it trains on.
    """

    config: TrainConfig
    num_images: int


# The ticks of a run, oldest first and at least one, and the run.
Look = Callable[[Sequence[Tick], Subject], Sign | Verdict]


@dataclasses.dataclass(frozen=True)
class Check:
    """A kind of finding.

    Attributes:
      name: of the finding in `diagnosis.json`; also its entry in docs/guide/troubleshooting.md.
      look: looks at the newest tick.
      patience: number of ticks in a row with the sign until it is a finding, and without it until
        it is one no longer. Ticks that can't tell do not count.
      always: whether fades and ticks whose loss is not finite tell, too; else they can not.
    """

    name: str
    look: Look
    patience: int
    always: bool = False

    def verdict(self, ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
        """Look at the newest of a run's ticks."""
        tells = not ticks[-1].phase.fading and ticks[-1].get(LOSS) is not None
        if not tells and not self.always:
            return Verdict.UNKNOWN
        return self.look(ticks, subject)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Trouble that lasts.

    Attributes:
      name: of its check.
      since: real images shown when its first sign was seen.
      sign: the newest sign when it became a finding.
      command: to train on with; empty if no flag helps.
    """

    name: str
    since: int
    sign: Sign
    command: str = ""

    @property
    def line(self) -> str:
        """The finding in one line."""
        command = f"; {self.command}" if self.command else ""
        return f"{self.sign.advice}: {self.sign.seen} since {self.since / 1000:g} kimg{command}"
