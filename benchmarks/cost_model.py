"""The limits of a step on 1 to 64 GPUs: computed from the configuration, not measured.

    python benchmarks/cost_model.py [--fmap_base=8192] [--fmap_max=512] [--tflops=5] ...

Prints a table (Markdown) of the three costs of one iteration, and one line of JSON last:

    compute     2 * multiply-adds of a forward pass of both networks * training passes * images of a
                replica / rate, plus the time that starting the operations takes
                (`pgan_tf.networks.cost`)
    all-reduce  of both networks' gradients, float32, around a ring: 2 (n - 1) / n * bytes over the
                slowest link, plus a latency for each doubling of n and each network. Not hidden
                behind the computation, since updates are decided on the sums
    input       bytes of a host's images / speed of its disk. Hidden: it counts only where it is the
                longest

The batch grows with the number of GPUs. efficiency is the share of compute in the iteration.
"""

import argparse
import json
import math
import sys

from pgan_tf.config import LossConfig, NetworkConfig, OptimizerConfig
from pgan_tf.networks.cost import TYPICAL_OVERHEAD, multiplications, training_passes
from pgan_tf.planning.step_memory import discriminator_weights, generator_weights

REPLICAS = (1, 2, 4, 8, 16, 32, 64)
# Images of a replica: what the original uses on one GPU up to 128x128, and on eight above.
IMAGES = {4: 64, 8: 64, 16: 32, 32: 32, 64: 32, 128: 16, 256: 8, 512: 4, 1024: 4}
_FLOAT32 = 4


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=1024, help="of the networks")
    parser.add_argument("--resolutions", default="4,32,256,1024", help="rows of the table")
    parser.add_argument("--fmap_base", type=int, default=8192)
    parser.add_argument("--fmap_max", type=int, default=512)
    parser.add_argument("--tflops", type=float, default=5.0, help="of a GPU, as really reached")
    parser.add_argument("--gpus_per_host", type=int, default=8)
    parser.add_argument("--inner_gb", type=float, default=50.0, help="GB/s between GPUs of a host")
    parser.add_argument("--outer_gb", type=float, default=10.0, help="GB/s between hosts")
    parser.add_argument("--latency_us", type=float, default=30.0)
    parser.add_argument("--disk_gb", type=float, default=1.0, help="GB/s of a host's random reads")
    given = parser.parse_args()
    network = NetworkConfig(
        fmap_base=given.fmap_base, fmap_max=given.fmap_max, resolution=given.resolution, channels=3
    )
    rows = [
        costs(network, resolution, replicas, given)
        for resolution in map(int, given.resolutions.split(","))
        for replicas in REPLICAS
    ]
    sys.stdout.write(table(rows))
    print(json.dumps({"benchmark": "cost_model", "computed": True, **vars(given), "rows": rows}))


def costs(
    network: NetworkConfig, resolution: int, replicas: int, given: argparse.Namespace
) -> dict[str, float | str]:
    """Return one row: milliseconds of each cost of an iteration, and the speed they allow."""
    images = IMAGES[resolution]
    work = 2 * multiplications(network, resolution, fading=False) * images
    work *= training_passes(LossConfig(), OptimizerConfig())
    compute = work / (given.tflops * 1e12) + TYPICAL_OVERHEAD
    weights = generator_weights(network, resolution) + discriminator_weights(network, resolution)
    link = given.inner_gb if replicas <= given.gpus_per_host else given.outer_gb
    reduced = 2 * (replicas - 1) / replicas * _FLOAT32 * weights / (link * 1e9)
    reduced += 2 * math.ceil(math.log2(replicas)) * given.latency_us * 1e-6
    images_a_host = images * min(replicas, given.gpus_per_host)
    read = images_a_host * network.channels * resolution**2 / (given.disk_gb * 1e9)
    iteration = max(compute + reduced, read)
    longest = max((compute, "compute"), (reduced, "all-reduce"), (read, "input"))
    return {
        "resolution": resolution,
        "gpus": replicas,
        "batch": images * replicas,
        "compute_ms": round(1000 * compute, 1),
        "all_reduce_mb": round(_FLOAT32 * weights / 1e6, 1),
        "all_reduce_ms": round(1000 * reduced, 2),
        "input_ms": round(1000 * read, 2),
        "input_mb_per_second": round(read * given.disk_gb * 1e3 / iteration, 1),
        "images_per_second": round(images * replicas / iteration, 1),
        "efficiency": round(compute / iteration, 3),
        "longest": longest[1],
    }


def table(rows: list[dict[str, float | str]]) -> str:
    """Format the rows in Markdown."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(value) for value in row.values()] for row in rows)]
    return "".join(f"| {' | '.join(name.replace('_', ' ') for name in line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
