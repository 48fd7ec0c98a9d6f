"""Which checkpoints a directory holds, told by their names; plain Python."""

import re
from pathlib import Path
from typing import NamedTuple

_SKIPPING = "-skipping"
_INDEX = re.compile(
    rf"state-(r(?P<rollbacks>\d+)-)?(?P<images_seen>\d+)(?P<skipping>{_SKIPPING})?\.index"
)


class Moment(NamedTuple):
    """When a state was saved. What came after a rollback is newer than anything before it.

    Attributes:
      rollbacks: how often the run had gone back.
      images_seen: real images shown until then.
      healthy: whether the updates before it were finite.
    """

    rollbacks: int
    images_seen: int
    healthy: bool

    @property
    def name(self) -> str:
        """Of its files, without a suffix: `state-96`, `state-r1-96`, `state-96-skipping`."""
        rollbacks = f"r{self.rollbacks}-" if self.rollbacks else ""
        return f"state-{rollbacks}{self.images_seen}{'' if self.healthy else _SKIPPING}"


def newest_first(directory: Path) -> list[Moment]:
    """When every checkpoint in `directory` that was written whole was saved."""
    # TensorFlow writes the index last.
    matches = (_INDEX.fullmatch(path.name) for path in directory.glob("*.index"))
    moments = (
        Moment(int(match["rollbacks"] or 0), int(match["images_seen"]), not match["skipping"])
        for match in matches
        if match
    )
    return sorted(moments, reverse=True)
