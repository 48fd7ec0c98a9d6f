"""The figures of the finished runs of benchmarks/small_data.py, in one JSON file."""

import json
from pathlib import Path
from typing import Any

from small_data_rows import Experiment, Run

from tfrecords_tools.files import whole_file


class Results:
    """The figures by run; those made under other flags do not count.

    The file is read each time, so that several processes can fill it, each with runs of its own.

    Args:
      file: that keeps them.
      experiment: that they belong to.
    """

    def __init__(self, file: Path, experiment: Experiment):
        self._file = file
        self._experiment = experiment

    def get(self, run: Run) -> dict[str, Any] | None:
        """Return the figures of a run; None if it has not ended under these flags."""
        found = self._read().get(run.name)
        return found if found and found["flags"] == self._flags(run) else None

    def add(self, run: Run, figures: dict[str, Any]) -> None:
        """Keep the figures of a run."""
        kept = {**self._read(), run.name: {"flags": self._flags(run), **figures}}
        lines = (f"{json.dumps(name)}: {json.dumps(kept[name])}" for name in sorted(kept))
        with whole_file(self._file) as temporary:
            temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n")

    def finished(self, runs: list[Run]) -> dict[Run, dict[str, Any]]:
        """Return the figures of those of the runs that have ended without an error."""
        found = {run: self.get(run) for run in runs}
        return {run: figures for run, figures in found.items() if figures and not figures["error"]}

    def _read(self) -> dict[str, dict[str, Any]]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def _flags(self, run: Run) -> dict[str, Any]:
        """Return all that the figures of a run depend on, as JSON gives it back."""
        of_metrics = {
            "num_images": self._experiment.num_images,
            "num_mode_images": self._experiment.num_mode_images,
        }
        return json.loads(json.dumps({**self._experiment.settings(run), **of_metrics}))
