"""Cost of a second replica: 2 logical CPUs against 1, same cores, same global batch.

    python benchmarks/scaling.py [--resolution=32] [--network_resolution=32] [--batch_size=16]
        [--fmap_base=1024] [--fmap_max=128] [--fading | --nofading] [--rounds=10] [--replicas=2]

Two processes hold the same networks, one as one replica, one as several logical CPUs. Only one of
them works at a time: they take turns with whole steps of training, in the order A B B A, so that
other work on the machine slows both down alike. Prints one line of JSON last:

    seconds_per_iteration          of one replica, the median
    replicated_seconds_per_iteration
    overhead                       the median of pairs: how much longer the replicas take, 0 if no
                                   longer. What is added is what one device need not do: sums over
                                   replicas, every update and average once a replica, noise drawn
                                   for the global batch by each, and twice the operations
    cpu_overhead                   the same of processor time, which other work hardly changes
    target                         what the project wants to stay under at 32x32 and 16x16

Cores are shared, so this is the cost of replication, not the gain of a second device.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from multiprocessing.connection import Connection

import numpy as np

from tfrecords_tools.host import core_count

TARGET = 0.10
_WARM_UP = 2


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--network_resolution", type=int, default=32)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--fmap_base", type=int, default=1024)
    parser.add_argument("--fmap_max", type=int, default=128)
    parser.add_argument("--fading", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10, help="of two steps of each")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    connections, processes = [], []
    for replicas in (0, given.replicas):
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, vars(given), replicas), daemon=True)
        process.start()
        theirs.close()
        ours.recv()  # one after the other: making graphs takes all cores
        connections.append(ours)
        processes.append(process)
    times: tuple[list[float], list[float]] = ([], [])
    ratios, cpu_ratios = [], []
    for number in range(given.rounds):
        order = (0, 1, 1, 0) if number % 2 == 0 else (1, 0, 0, 1)
        found: tuple[list[float], list[float]] = ([], [])
        cpu = [0.0, 0.0]
        for which in order:
            connections[which].send(True)
            seconds, cpu_seconds = connections[which].recv()
            found[which].append(seconds)
            cpu[which] += cpu_seconds
        ratios.append(sum(found[1]) / sum(found[0]))
        cpu_ratios.append(cpu[1] / cpu[0])
        for all_times, new in zip(times, found, strict=True):
            all_times.extend(new)
        sys.stderr.write(f"round {number}: {found}\n")
    for connection, process in zip(connections, processes, strict=True):
        connection.send(False)
        process.join()
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    result = {
        "benchmark": "scaling",
        **vars(given),
        "cores": core_count(),
        "load": round(os.getloadavg()[0], 1),
        "seconds_per_iteration": round(statistics.median(times[0]), 4),
        "replicated_seconds_per_iteration": round(statistics.median(times[1]), 4),
        "overhead": round(statistics.median(ratios) - 1, 3),
        "overhead_quartiles": [round(quartiles[0] - 1, 3), round(quartiles[2] - 1, 3)],
        "cpu_overhead": round(statistics.median(cpu_ratios) - 1, 3),
        "target": TARGET,
    }
    print(json.dumps(result))


def serve(connection: Connection, given: dict, logical_cpus: int) -> None:
    """Makes a step, then runs one each time it is asked to, and sends its seconds."""
    # Here, because each process has logical CPUs of its own.
    from pgan_tf.config import NetworkConfig, RunConfig, ScheduleConfig, TrainConfig
    from pgan_tf.config.phases import Schedule, Step
    from pgan_tf.data.batches import Batch
    from pgan_tf.distribution.strategy import make_strategy
    from pgan_tf.step.microbatches import set_up_threads
    from pgan_tf.step.step import TrainStep
    from pgan_tf.step.train_state import TrainState
    from pgan_tf.training.feeding import to_replicas
    from pgan_tf.training.prepare import set_up_tensorflow

    resolution, size, fading = given["resolution"], given["batch_size"], given["fading"]
    schedule = ScheduleConfig(
        start_resolution=resolution // 2 if fading else resolution,
        stabilize_kimg=0.0 if fading else 1.0,
        batch_size=size,
        batch_size_by_resolution={},
    )
    config = TrainConfig(
        network=NetworkConfig(fmap_base=given["fmap_base"], fmap_max=given["fmap_max"]),
        schedule=schedule,
        run=RunConfig(precision=given["precision"], logical_cpus=logical_cpus),
    ).for_data(resolution=given["network_resolution"], channels=3, label_size=0)
    phase = Schedule(schedule, given["network_resolution"]).phases[0]
    step = Step(phase, phase.start, 0.5 if fading else 1.0, phase.learning_rate)
    set_up_threads(config)
    strategy = make_strategy("auto", logical_cpus=logical_cpus)
    set_up_tensorflow(config)
    state = TrainState(config, strategy)
    train_step = TrainStep(state, config, strategy, resolution=resolution, fading=fading)
    images = np.random.default_rng(0).integers(0, 256, (size, 3, resolution, resolution), np.uint8)
    nothing = np.zeros([size, 0], np.float32)

    def run() -> tuple[float, float]:
        started, cpu = time.monotonic(), time.process_time()
        batch = Batch(images, nothing, nothing)
        # Waits for the device.
        train_step(to_replicas(strategy, state, [(step, batch)])).tensor.numpy()
        return time.monotonic() - started, time.process_time() - cpu

    for _ in range(_WARM_UP):
        run()
    connection.send(None)
    while connection.recv():
        connection.send(run())


if __name__ == "__main__":
    main()
