"""Which of several processes this one is, as TF_CONFIG tells; plain Python."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from tfrecords_tools.errors import UserError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that train one run together.

    Attributes:
      index: of this process, in 0..count-1.
      count: number of processes.
      addresses: theirs, `host:port`, the chief's first; empty for a process alone.
    """

    index: int = 0
    count: int = 1
    addresses: tuple[str, ...] = ()

    @property
    def is_chief(self) -> bool:
        """Whether this process keeps the run directory: its files, its checkpoints, its reports."""
        return self.index == 0


ALONE = Cluster()


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Reads TF_CONFIG.

    Args:
      environment: where the variable is.

    Raises:
      UserError: it is missing, or no description of workers and of this one among them.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        raise UserError(f"--distribution=multi_worker needs {VARIABLE}, such as {EXAMPLE}")
    try:
        described = json.loads(text)
        jobs, task = described["cluster"], described["task"]
        kind, index = task["type"], int(task["index"])
        addresses = {name: list(jobs[name]) for name in jobs}
    except (ValueError, KeyError, TypeError) as error:
        raise _refuse(text) from error
    if set(addresses) - {"chief", "worker"} or not addresses:
        raise UserError(
            f"{VARIABLE}: its cluster may have the jobs chief and worker. "
            f"Received: {', '.join(sorted(addresses)) or 'none'}"
        )
    if kind not in addresses or not 0 <= index < len(addresses[kind]):
        raise UserError(f"{VARIABLE}: its task is none of its cluster. Received: {kind} {index}")
    everyone = [*_addresses(addresses, "chief", text), *_addresses(addresses, "worker", text)]
    if len(set(everyone)) < len(everyone):
        raise UserError(f"{VARIABLE}: names an address twice. Received: {', '.join(everyone)}")
    before = len(addresses.get("chief", [])) if kind == "worker" else 0
    return Cluster(before + index, len(everyone), tuple(everyone))


def _addresses(jobs: Mapping[str, list[Any]], name: str, text: str) -> list[str]:
    found = jobs.get(name, [])
    if not all(isinstance(entry, str) and entry.rpartition(":")[2].isdecimal() for entry in found):
        raise _refuse(text)
    return found


def _refuse(text: str) -> UserError:
    return UserError(f"{VARIABLE} must be JSON such as {EXAMPLE}. Received: {text}")
