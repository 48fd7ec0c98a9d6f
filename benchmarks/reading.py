"""How fast training's images are read: by record number, warm and cold, and as a stream.

    python benchmarks/reading.py [--resolutions=64,256,1024] [--megabytes=600] [--directory=/tmp]

Writes raw pyramids of RGB noise, reads batches of 16 as training does, without training, and prints
one line of JSON last. For each resolution:

    warm    images a second by record number, the file in the operating system's cache
    cold    the same, after the file was dropped from the cache
    stream  images a second through `file://`, warm, once the shuffle buffer has filled
    fill    seconds until the stream's first batch, which comes when the buffer has filled
    buffer  images in it

and `switch_wait_ms`: the longest that any step waits for its batch when 100 steps of 20 ms at half
the resolution are followed by 100 at the resolution, all cold; the very first step left out.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pgan_tf.config import ScheduleConfig
from pgan_tf.data import Batch, read_batches
from pgan_tf.remote_pyramid import open_remote_pyramid
from pgan_tf.schedule import Schedule, Step
from pgan_tf.streaming import shuffle_size, stream_batches
from tfrecords_tools.format import encode_records, level_name, open_pyramid, record_layout

BATCH = 16
_STREAM_SECONDS = 5.0
_STEP_SECONDS = 0.02
_STEPS_A_LEVEL = 100


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolutions", default="64,256,1024")
    parser.add_argument("--megabytes", type=int, default=600, help="size of the largest level")
    parser.add_argument("--directory", default=None, help="where to work")
    given = parser.parse_args()
    results = {}
    for resolution in map(int, given.resolutions.split(",")):
        with tempfile.TemporaryDirectory(prefix="reading-", dir=given.directory) as name:
            write_noise(Path(name), resolution, given.megabytes)
            results[f"raw_{resolution}"] = measure(Path(name), resolution)
    print(json.dumps({"benchmark": "reading", "cores": os.cpu_count(), "batch": BATCH, **results}))


def write_noise(directory: Path, resolution: int, megabytes: int) -> None:
    """Writes a pyramid whose largest level has so many megabytes."""
    random = np.random.default_rng(0)
    count = megabytes * 10**6 // record_layout(3, resolution).record_bytes
    while resolution >= 4:
        with (directory / level_name("noise", resolution)).open("wb") as file:
            for start in range(0, count, BATCH):
                shape = (min(BATCH, count - start), 3, resolution, resolution)
                encode_records(random.integers(0, 256, shape, np.uint8)).tofile(file)
        resolution //= 2


def measure(directory: Path, resolution: int) -> dict[str, float]:
    """Figures of one resolution."""
    pyramid, remote = open_pyramid(directory), open_remote_pyramid(f"file://{directory}")
    figures: dict[str, float] = {"images": pyramid.count}
    # One epoch, so that what is cold is not read twice.
    epoch = ScheduleConfig(start_resolution=resolution, total_kimg=pyramid.count / 1000)
    for state in ("cold", "warm"):
        drop_from_cache(directory)
        if state == "warm":
            (directory / level_name("noise", resolution)).read_bytes()
        steps = Schedule(epoch, resolution).steps()
        batches = read_batches(pyramid, steps, seed=1, label_size=0)
        figures[state] = round(rate(batches, np.inf), 1)
    endless = ScheduleConfig(start_resolution=resolution, total_kimg=1e6)
    steps = Schedule(endless, resolution).steps()
    started = time.monotonic()
    batches = stream_batches(remote, steps, seed=1, label_size=0)
    next(batches)
    figures["fill"] = round(time.monotonic() - started, 2)
    figures["buffer"] = shuffle_size(remote.level(resolution))
    figures["stream"] = round(rate(batches, _STREAM_SECONDS), 1)
    drop_from_cache(directory)
    switch = ScheduleConfig(
        start_resolution=resolution // 2,
        stabilize_kimg=BATCH * _STEPS_A_LEVEL / 1000,
        total_kimg=2 * BATCH * _STEPS_A_LEVEL / 1000,
    )
    steps = Schedule(switch, resolution).steps()
    waits = longest_wait(read_batches(pyramid, steps, seed=2, label_size=0))
    figures["switch_wait_ms"] = round(1000 * waits, 2)
    sys.stderr.write(f"{resolution}x{resolution}: {figures}\n")
    return figures


def rate(batches: Iterator[tuple[Step, Batch]], seconds: float) -> float:
    """Images a second, of all batches or of as many as come in so many seconds."""
    started, images = time.monotonic(), 0
    for _, batch in batches:
        images += len(batch.images)
        if time.monotonic() - started > seconds:
            break
    return images / (time.monotonic() - started)


def longest_wait(batches: Iterator[tuple[Step, Batch]]) -> float:
    """The longest time that a step waits for its batch, in seconds, where steps take a while."""
    next(batches)
    waits = []
    asked = time.monotonic()
    for _ in batches:
        waits.append(time.monotonic() - asked)
        time.sleep(_STEP_SECONDS)
        asked = time.monotonic()
    return max(waits)


def drop_from_cache(directory: Path) -> None:
    """Makes the next reads of a directory's files go to the disk."""
    for path in directory.iterdir():
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
            os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(opened)


if __name__ == "__main__":
    main()
