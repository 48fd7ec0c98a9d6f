"""The workers of a run, read from TF_CONFIG. Standard library only."""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.json_file import parse_json

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The worker processes of one run, as one of them sees them.

    Attributes:
      index: this worker's number, in 0..count-1. Worker 0 is the chief.
      count: the number of workers.
      addresses: `host:port` of each worker, in order; empty for a single process.
    """

    index: int = 0
    count: int = 1
    addresses: tuple[str, ...] = ()

    @property
    def is_chief(self) -> bool:
        """True for the worker that keeps the run directory: configuration, checkpoints, reports."""
        return self.index == 0


# A single process, without TF_CONFIG.
ALONE = Cluster()


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Read the cluster from TF_CONFIG.

    Args:
      environment: environment variables.

    Raises:
      UserError: the variable is missing, or doesn't describe workers with this one among them.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        raise UserError(f"--distribution=multi_worker needs {VARIABLE}, such as {EXAMPLE}")
    try:
        described = parse_json(text, VARIABLE)
        jobs, task = described["cluster"], described["task"]
        job, index = task["type"], int(task["index"])
        addresses = {name: list(jobs[name]) for name in jobs}
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _malformed(text) from error
    if set(addresses) - {"chief", "worker"} or not addresses:
        raise UserError(
            f"{VARIABLE}: the cluster may have the jobs chief and worker. "
            f"Received: {', '.join(sorted(addresses)) or 'none'}"
        )
    if job not in addresses or not 0 <= index < len(addresses[job]):
        raise UserError(f"{VARIABLE}: the task is not in the cluster. Received: {job} {index}")
    workers = [*_addresses(addresses, "chief", text), *_addresses(addresses, "worker", text)]
    if len(set(workers)) < len(workers):
        raise UserError(f"{VARIABLE} names an address twice. Received: {', '.join(workers)}")
    # The chief, if it is a job of its own, is worker 0.
    first_of_job = len(addresses.get("chief", [])) if job == "worker" else 0
    return Cluster(first_of_job + index, len(workers), tuple(workers))


def _addresses(jobs: Mapping[str, list[Any]], name: str, text: str) -> list[str]:
    addresses = jobs.get(name, [])
    if not all(isinstance(a, str) and _is_port(a.rpartition(":")[2]) for a in addresses):
        raise _malformed(text)
    return addresses


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) < 1 << 16


def _malformed(text: str) -> UserError:
    return UserError(f"{VARIABLE} must be JSON such as {EXAMPLE}. Received: {text}")
