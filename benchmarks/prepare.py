"""Speed of pgan-prepare-tfrecords, next to only decoding the same PNG files.

    python benchmarks/prepare.py [--small=30000] [--large=200] [--num_workers=2] [--directory=/tmp]

Makes two folders of RGB PNG files, noise on smooth colours of 64x64 and plain noise of 1024x1024,
prepares each by the command, as a user would, and prints one line of JSON last:

    images_per_second     of the whole command, from its start to its end
    megabytes_per_second  of pyramid written, 10^6 bytes
    peak_memory_mb        of all its processes together (proportional set size), 10^6 bytes
    floor_images_per_second  decoding the files by Pillow and nothing else, in as many processes
    fraction_of_floor     the first of these over the one before
    cpu_ms_per_image      processor time of the command and its workers, and of the floor: on a
    floor_cpu_ms_per_image  machine with other work to do these two tell more than the clock
    target_images_per_second  what the project wants to reach on two cores of its test machine

`--encoding=png` and `--shards=N` are handed to the command.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tfrecords_tools.host import core_count

TARGETS = {64: 3 * 1300, 1024: 3.5 * 9}
_FILES_A_TASK = 20
# Looking at all processes costs time itself.
_WATCH_SECONDS = 0.5


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=30_000, help="number of 64x64 images")
    parser.add_argument("--large", type=int, default=200, help="number of 1024x1024 images")
    parser.add_argument("--num_workers", type=int, default=core_count())
    parser.add_argument("--directory", default=None, help="where to work; 6 MB a large image")
    parser.add_argument("--encoding", default="raw", choices=("raw", "png"))
    parser.add_argument("--shards", type=int, default=1)
    given = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="prepare-", dir=given.directory) as name:
        for side, count in ((64, given.small), (1024, given.large)):
            if count:
                folder = Path(name) / str(side)
                say(f"Making {count} images of {side}x{side} in {folder}")
                make_images(folder, side, count, given.num_workers)
                storage = [f"--encoding={given.encoding}", f"--shards={given.shards}"]
                results[f"png_{side}"] = measure(folder, side, count, given.num_workers, storage)
                shutil.rmtree(folder)
    settings = {key: getattr(given, key) for key in ("num_workers", "encoding", "shards")}
    print(json.dumps({"benchmark": "prepare", "cores": core_count(), **settings, **results}))


def measure(
    folder: Path, side: int, count: int, num_workers: int, storage: list[str]
) -> dict[str, float]:
    """Figures of one folder of images."""
    # The floor is measured before and after, since other work on the machine comes and goes.
    before = cpu_seconds()
    floors = [decode_all(folder, num_workers)]
    floor_cpu = cpu_seconds() - before
    output = folder.parent / "out"
    command = [sys.executable, "-m", "tfrecords_tools.cli.prepare", "--source=images", *storage]
    command += [f"--input={folder}", f"--output={output}", f"--num_workers={num_workers}"]
    started = time.monotonic()
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process,
        watched(process.pid) as usage,
    ):
        code = process.wait()
    seconds = time.monotonic() - started
    if code:
        sys.exit(f"{' '.join(command)} failed with code {code}")
    floors.append(decode_all(folder, num_workers))
    size = sum(path.stat().st_size for path in output.iterdir())
    shutil.rmtree(output)
    floor = 2 / (1 / floors[0] + 1 / floors[1])
    figures = {
        "images": count,
        "seconds": round(seconds, 2),
        "images_per_second": round(count / seconds, 1),
        "megabytes_per_second": round(size / seconds / 1e6, 1),
        "peak_memory_mb": round(usage.memory / 1e6, 1),
        "floor_images_per_second": round(floor, 1),
        "fraction_of_floor": round(count / seconds / floor, 3),
        "cpu_ms_per_image": round(1000 * usage.cpu / count, 3),
        "floor_cpu_ms_per_image": round(1000 * floor_cpu / count, 3),
        "target_images_per_second": TARGETS[side],
    }
    say(f"{side}x{side}: {figures}")
    return figures


def make_images(folder: Path, side: int, count: int, num_workers: int) -> None:
    """Writes PNG files, the same every time."""
    folder.mkdir()
    with concurrent.futures.ProcessPoolExecutor(num_workers) as executor:
        tasks = [(folder, side, number) for number in range(count)]
        for _ in executor.map(make_image, tasks, chunksize=_FILES_A_TASK):
            pass


def make_image(task: tuple[Path, int, int]) -> None:
    """Writes one PNG file."""
    folder, side, number = task
    random = np.random.default_rng((side, number))
    pixels = random.integers(0, 256, (side, side, 3), np.uint8)
    if side == 64:  # like a photograph: slow changes and a little noise
        colours = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
        smooth = np.asarray(colours.resize((side, side), Image.Resampling.BICUBIC))
        pixels = np.clip(smooth.astype(np.int16) + pixels // 16 - 8, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{number:07d}.png", compress_level=4)


def decode_all(folder: Path, num_workers: int) -> float:
    """Images a second that Pillow decodes, doing nothing else."""
    files = sorted(str(path) for path in folder.iterdir())
    with concurrent.futures.ProcessPoolExecutor(num_workers) as executor:
        # Started before the clock is: what is wanted is the decoding.
        list(executor.map(time.sleep, [0.2] * 2 * num_workers))
        started = time.monotonic()
        for _ in executor.map(decode, files, chunksize=_FILES_A_TASK):
            pass
        return len(files) / (time.monotonic() - started)


def decode(path: str) -> None:
    """Decodes one file."""
    with Image.open(path) as image:
        image.load()


def cpu_seconds() -> float:
    """Processor time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclasses.dataclass
class Usage:
    """Peak use of a session's processes: bytes of memory, seconds of processor time."""

    memory: int = 0
    cpu: float = 0.0

    def add(self, other: "Usage") -> None:
        """Keeps the larger of both."""
        self.memory, self.cpu = max(self.memory, other.memory), max(self.cpu, other.cpu)


@contextlib.contextmanager
def watched(session: int) -> Iterator[Usage]:
    """Watches a session's processes."""
    usage, ended = Usage(), threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_SECONDS):
            usage.add(current_usage(session))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield usage
    finally:
        ended.set()
        thread.join()


def current_usage(session: int) -> Usage:
    """Return a session's memory now, shared pages divided among processes, and its time so far."""
    usage = Usage()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # a process may end meanwhile
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            if int(stat[3]) == session:
                # Its own time in user and kernel mode, and that of its children that have ended.
                usage.cpu += sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")
                for line in (process / "smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        usage.memory += 1024 * int(line.split()[1])
    return usage


def say(line: str) -> None:
    """Says how it goes, apart from the result."""
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
