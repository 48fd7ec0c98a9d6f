"""Suggestions of similar names for one that does not exist. Standard library only."""

import difflib
from collections.abc import Iterable

_MOST = 3
# Of difflib's measure, from 0 to 1: at least, and at most below that of the best.
_ALIKE = 0.6
_BESIDE_BEST = 0.1


def did_you_mean(attempt: str, known: Iterable[str], prefix: str = "") -> str:
    """Return `. Did you mean ...?` about the known names most like another; empty without any.

    Args:
      attempt: the name that does not exist.
      known: those that do.
      prefix: put before each name that is shown.
    """
    names = [prefix + name for name in similar(attempt, known)]
    return f". Did you mean {' or '.join(names)}?" if names else ""


def similar(attempt: str, known: Iterable[str]) -> list[str]:
    """Return the known names most like another, the best first, at most three.

    They are spelled alike, have it as a part or as initials (`lr` for `learning_rate`), or share
    its words.
    """
    wanted = attempt.lower().replace("-", "_").strip("_")
    ratings = {name: _likeness(wanted, name) for name in known}
    least = max(_ALIKE, max(ratings.values(), default=0.0) - _BESIDE_BEST)
    close = [name for name, rating in ratings.items() if rating >= least]
    return sorted(close, key=lambda name: (-ratings[name], name))[:_MOST]


def _likeness(wanted: str, name: str) -> float:
    if not wanted:
        return 0.0
    words, parts = wanted.split("_"), name.split("_")
    spelled = difflib.SequenceMatcher(None, wanted.replace("_", ""), name.replace("_", "")).ratio()
    # The shorter the name around it, the likelier it is meant.
    around = len(wanted) / max(len(wanted), len(name))
    if len(parts) > 1 and wanted == "".join(part[:1] for part in parts):
        return max(spelled, 0.9)
    if len(wanted) > 2 and wanted in parts:
        return max(spelled, 0.7 + 0.2 * around)
    shared = len(set(words) & set(parts)) / max(len(words), len(parts))
    return max(spelled, shared)
