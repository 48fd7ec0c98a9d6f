"""The course of a trouble: when its signs become a finding, and when it has gone."""

import dataclasses

from pgan_tf.diagnosis.findings import Check, Finding, Sign, Verdict


@dataclasses.dataclass
class Course:
    """Follows one check from tick to tick, with hysteresis.

    Attributes:
      check: that is followed.
      finding: the trouble that lasts now; None if there is none.
    """

    check: Check
    finding: Finding | None = None
    _since: int = 0
    _signs: int = 0
    _healthy: int = 0

    def add(self, images_seen: int, found: Sign | Verdict) -> None:
        """Take a tick into account.

        Args:
          images_seen: real images shown until the tick.
          found: what the check says of it.
        """
        if found is Verdict.UNKNOWN:
            return
        if isinstance(found, Sign):
            self._since = self._since if self._signs else images_seen
            self._signs += 1
            self._healthy = 0
            if self.finding is None and self._signs >= self.check.patience:
                self.finding = Finding(self.check.name, self._since, found)
        else:
            self._healthy += 1
            if self.finding is None or self._healthy >= self.check.patience:
                self._signs, self.finding = 0, None
