"""The commonest reasons for which images can't be used, for an error about all of them."""

import re
from collections import Counter
from collections.abc import Iterable

_MOST_LISTED = 3


def common_reasons(reasons: Iterable[str]) -> str:
    """Return the commonest reasons with their counts; such as differ in numbers alone are one."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for reason in reasons:
        kind = re.sub(r"\d+", "0", reason)
        counts[kind] += 1
        examples.setdefault(kind, reason)
    listed = [f"{count}: {examples[kind]}" for kind, count in counts.most_common(_MOST_LISTED)]
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(_MOST_LISTED))
    return "; ".join([*listed, *([f"{rest}: other reasons"] if rest else [])])
