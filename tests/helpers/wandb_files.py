"""W&B's files of records, read as its format says: LevelDB's log of protocol buffers."""

import json
import struct
from pathlib import Path

_BLOCK = 32768
_HEADER = 7


def read_records(path: Path) -> list:
    """Return the records of a `.wandb` file, in their order."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, offset, records, parts = path.read_bytes(), _HEADER, [], b""
    assert content[:4] == b":W&B"
    while offset + _HEADER <= len(content):
        left = _BLOCK - offset % _BLOCK
        if left < _HEADER:  # the rest of a block is padding
            offset += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, offset)
        offset += _HEADER
        parts += content[offset : offset + length]
        offset += length
        if kind in (1, 4):  # the whole record, or its last part
            records.append(Record.FromString(parts))
            parts = b""
    return records


def read_run(path: Path) -> dict:
    """Return a run's id, project, name and configuration, and its history of values by name."""
    found = {"config": {}, "history": []}
    for record in read_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found |= {"id": run.run_id, "project": run.project, "name": run.display_name}
            updates = run.config.update
        elif kind == "config":
            updates = record.config.update
        else:
            updates = []
        for item in updates:
            found["config"][item.key or item.nested_key[0]] = json.loads(item.value_json)
        if kind == "history":
            items = record.history.item
            row = {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items}
            found["history"].append(row)
        if kind == "exit":
            found["exit_code"] = record.exit.exit_code
    return found
