"""What TensorBoard's steps count: kimg, or images in a run that reports within a kimg."""

import json
from pathlib import Path


def images_per_step(metrics: Path) -> int | None:
    """How many images a step of a run stands for: 1000 or 1, as it began.

    Args:
      metrics: the run's `metrics.jsonl`, whose lines hold both counts. Those of a run that is older
        than steps in kimg hold images alone.

    Returns:
      None where nothing has been reported yet.
    """
    found = None
    for text in metrics.read_text().splitlines() if metrics.exists() else ():
        try:
            line = json.loads(text)
            found = 1 if line.get("step", line["images_seen"]) == line["images_seen"] else 1000
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # broken, as by a kill
    return found
