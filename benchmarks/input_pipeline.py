"""Speed of the input pipeline: from a pyramid on disk to tensors that a step accepts.

    python benchmarks/input_pipeline.py [--resolutions=4,32,256,1024] [--batch_size=N] [--seconds=5]
        [--data_dir=PYRAMID] [--disk]

Reads as training does, without training: a permutation of the whole data, checksums compared,
labels, labels of fakes, and each batch placed on the device. (Mirroring is part of the step, on the
device.) Without `--data_dir` it writes raw pyramids of labelled RGB noise. Prints one line of JSON
last. For each resolution, the file in the operating system's cache:

    images_per_second  the median of short windows; best_images_per_second is the best of them,
                       which tells more on a machine with other work to do
    images_per_cpu_second  the same over processor time, of all threads: on an idle machine of two
                       cores images_per_second is at least that
    read_images_per_second  the same without placing batches on the device
    copy_images_per_second  copying as many bytes as images of this size have, from the file in
                       memory to as much memory as is read ahead, and nothing else; from 256x256 up
    fraction_of_copy   the median of both, window by window
    target             what the project wants to reach on two cores of its test machine: images a
                       second, or for 1024x1024 the fraction of copying

`--disk` adds what happens where the file is not in memory, or behind a URL:

    cold    images a second after the file was dropped from the cache
    stream  images a second through `file://`, warm, once the shuffle buffer has filled
    fill    seconds until the stream's first batch, which comes when the buffer has filled
    buffer  images in it
    switch_wait_ms  the longest that any step waits for its batch when 100 steps of 20 ms at half
            the resolution are followed by 100 at the resolution, all cold; the first step left out
"""

import argparse
import collections
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule, Step
from pgan_tf.data.batches import Batch, read_batches
from pgan_tf.data.memory.read_ahead import READ_AHEAD_BYTES, READ_AHEAD_STEPS
from pgan_tf.data.remote import open_remote_pyramid
from pgan_tf.data.streaming import shuffle_size, stream_batches
from pgan_tf.data.worker_data import WorkerData
from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.training.feeding import quick_thread_switches, to_replicas
from tfrecords_tools.format import encode_records, level_name, open_pyramid, record_layout
from tfrecords_tools.format.example import ImageType
from tfrecords_tools.format.names import labels_name
from tfrecords_tools.format.pyramid import Pyramid
from tfrecords_tools.host import core_count

TARGETS = {4: 150_000, 32: 60_000, 256: 8_000, 1024: 0.6}
_BATCH_SIZES = {4: 128, 8: 128, 16: 128, 32: 128, 64: 64, 128: 32, 256: 16, 512: 8, 1024: 4}
_CLASSES = 10
_COPIED_FROM = 256
_WINDOW_SECONDS = 0.25
_STREAM_SECONDS = 5.0
_STEP_SECONDS = 0.02
_STEPS_A_LEVEL = 100

Batches = Iterator[tuple[Step, Batch]]


@quick_thread_switches()  # as in training
def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolutions", default="4,32,256,1024")
    parser.add_argument("--batch_size", type=int, default=None, help="default: by resolution")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--data_dir", default=None, help="a pyramid to read in place of noise")
    parser.add_argument("--megabytes", type=int, default=400, help="size of a level of noise")
    parser.add_argument("--work_dir", default=None, help="where to write noise")
    parser.add_argument("--disk", action="store_true", help="measure cold and streamed too")
    given = parser.parse_args()
    results = {}
    for resolution in map(int, given.resolutions.split(",")):
        batch_size = given.batch_size or _BATCH_SIZES[resolution]
        with tempfile.TemporaryDirectory(prefix="input-", dir=given.work_dir) as name:
            directory = Path(given.data_dir or name)
            if not given.data_dir:
                write_noise(directory, resolution, given.megabytes)
            figures = measure(open_pyramid(directory), resolution, batch_size, given.seconds)
            if given.disk:
                figures.update(measure_disk(directory, resolution, batch_size))
        results[str(resolution)] = figures
        sys.stderr.write(f"{resolution}x{resolution}: {figures}\n")
    load = round(os.getloadavg()[0], 1)
    cores = core_count()
    print(json.dumps({"benchmark": "input_pipeline", "cores": cores, "load": load, **results}))


def write_noise(directory: Path, resolution: int, megabytes: int) -> None:
    """Writes a labelled pyramid whose largest level has up to so many megabytes."""
    random = np.random.default_rng(0)
    count = min(
        megabytes * 10**6 // record_layout(ImageType(3, resolution, resolution)).record_bytes,
        200_000,
    )
    for side in (1 << log2 for log2 in range(2, resolution.bit_length())):
        piece = max(1, (1 << 24) // (3 * side * side))
        with (directory / level_name("noise", side)).open("wb") as file:
            for start in range(0, count, piece):
                shape = (min(piece, count - start), 3, side, side)
                encode_records(random.integers(0, 256, shape, np.uint8)).tofile(file)
    labels = np.eye(_CLASSES, dtype=np.float32)[random.integers(_CLASSES, size=count)]
    with (directory / labels_name("noise")).open("wb") as file:
        np.save(file, labels)


def measure(
    pyramid: Pyramid, resolution: int, batch_size: int, seconds: float
) -> dict[str, float | None]:
    """Figures of one resolution, the file in memory."""
    for file in pyramid.level(resolution).files:
        file.path.read_bytes()
    placed = placed_batches(read(pyramid, resolution, batch_size))
    plain = read(pyramid, resolution, batch_size)
    copies = copied_batches(pyramid, resolution, batch_size)
    found = collections.defaultdict[str, list[float]](list)
    # The first pass finds memory for what is read ahead.
    for batches in (placed, plain, copies):
        skip_what_was_read_ahead(batches)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        skip_what_was_read_ahead(placed)
        started, cpu = time.monotonic(), time.process_time()
        found["placed"].append(rate(placed, _WINDOW_SECONDS))
        seconds_per_cpu = (time.monotonic() - started) / (time.process_time() - cpu)
        found["cpu"].append(found["placed"][-1] * seconds_per_cpu)
        skip_what_was_read_ahead(plain)
        found["read"].append(rate(plain, _WINDOW_SECONDS))
        if resolution >= _COPIED_FROM:
            found["copy"].append(rate(copies, _WINDOW_SECONDS))
            found["fraction"].append(found["placed"][-1] / found["copy"][-1])
    figures: dict[str, float | None] = {
        "images": pyramid.count,
        "batch_size": batch_size,
        "images_per_second": round(statistics.median(found["placed"])),
        "best_images_per_second": round(max(found["placed"])),
        "images_per_cpu_second": round(statistics.median(found["cpu"])),
        "read_images_per_second": round(statistics.median(found["read"])),
    }
    if found["copy"]:
        figures["copy_images_per_second"] = round(statistics.median(found["copy"]))
        figures["fraction_of_copy"] = round(statistics.median(found["fraction"]), 3)
    return {**figures, "target": TARGETS.get(resolution)}


def read(pyramid: Pyramid, resolution: int, batch_size: int) -> Batches:
    """Batches as training reads them, without end."""
    config = ScheduleConfig(
        start_resolution=resolution,
        total_kimg=1e9,
        batch_size=batch_size,
        batch_size_by_resolution={},
    )
    steps = Schedule(config, resolution).steps()
    return read_batches(WorkerData(pyramid, seed=1, label_size=pyramid.label_size), steps)


def placed_batches(batches: Batches) -> Batches:
    """The same, each placed on the device."""
    strategy, state = make_strategy("one_device"), types.SimpleNamespace(noise_seed=1)
    for step, batch in batches:
        to_replicas(strategy, state, [(step, batch)])
        yield step, batch


def copied_batches(pyramid: Pyramid, resolution: int, batch_size: int) -> Batches:
    """As many bytes as batches have, copied from the level's file into memory read ahead into."""
    step = next(Schedule(ScheduleConfig(start_resolution=resolution), resolution).steps())
    data = np.memmap(pyramid.level(resolution).files[0].path, np.uint8, mode="r")
    shape = (batch_size, pyramid.channels, resolution, resolution)
    image_bytes = int(np.prod(shape[1:]))
    kept = max(2, min(READ_AHEAD_STEPS, READ_AHEAD_BYTES // (batch_size * image_bytes)))
    # Written once, or the operating system would have to find the memory while it is measured.
    ring = [np.ones(shape, np.uint8) for _ in range(kept)]
    starts = np.random.default_rng(0)
    nothing = np.zeros([batch_size, 0], np.float32)
    for images in itertools.cycle(ring):
        rows = images.reshape(batch_size, image_bytes)
        for row in rows:
            start = int(starts.integers(len(data) - image_bytes + 1))
            row[...] = data[start : start + image_bytes]
        yield step, Batch(images, nothing, nothing)


def skip_what_was_read_ahead(batches: Batches) -> None:
    """Passes over what was read while something else was measured."""
    for _ in itertools.islice(batches, READ_AHEAD_STEPS):
        pass


def rate(batches: Batches, seconds: float) -> float:
    """Images a second, of all batches or of as many as come in so many seconds."""
    started, images = time.monotonic(), 0
    for _, batch in batches:
        images += len(batch.images)
        if time.monotonic() - started > seconds:
            break
    return images / (time.monotonic() - started)


def measure_disk(directory: Path, resolution: int, batch_size: int) -> dict[str, float]:
    """Figures of one resolution where the file is not in memory, or streamed."""
    pyramid, remote = open_pyramid(directory), open_remote_pyramid(f"file://{directory}")
    figures: dict[str, float] = {}
    drop_from_cache(directory)
    # One epoch at most, so that what is cold is not read twice.
    epoch = itertools.islice(read(pyramid, resolution, batch_size), pyramid.count // batch_size)
    figures["cold"] = round(rate(epoch, np.inf), 1)
    endless = ScheduleConfig(start_resolution=resolution, total_kimg=1e6, batch_size=batch_size)
    steps = Schedule(endless, resolution).steps()
    started = time.monotonic()
    batches = stream_batches(WorkerData(remote, seed=1), steps)
    next(batches)
    figures["fill"] = round(time.monotonic() - started, 2)
    figures["buffer"] = shuffle_size(remote.level(resolution))
    figures["stream"] = round(rate(batches, _STREAM_SECONDS), 1)
    drop_from_cache(directory)
    switch = ScheduleConfig(
        start_resolution=resolution // 2,
        stabilize_kimg=batch_size * _STEPS_A_LEVEL / 1000,
        total_kimg=2 * batch_size * _STEPS_A_LEVEL / 1000,
        batch_size=batch_size,
    )
    steps = Schedule(switch, resolution).steps()
    wait = longest_wait(read_batches(WorkerData(pyramid, seed=2), steps))
    figures["switch_wait_ms"] = round(1000 * wait, 2)
    return figures


def longest_wait(batches: Batches) -> float:
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
