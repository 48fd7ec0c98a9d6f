"""Time and memory of pgan-import for networks of the paper's size.

    python benchmarks/import_network.py [--resolution=1024] [--directory=/tmp]

Writes a network file as the original's TensorFlow version does, `(G, D, Gs)` with random weights,
imports it by the command, draws an image by another, and prints one line of JSON last:

    file_mb             the network file, 10^6 bytes
    import_seconds      of the whole command
    import_cpu_seconds  of processor time: on a machine with other work it tells more
    import_peak_mb      of its memory (resident set), 10^6 bytes
    output_mb           of the directory it wrote
    generate_seconds    of pgan-generate with one image
    generate_cpu_seconds
    generate_peak_mb    of its memory
    image               size and standard deviation of the picture, 0 to 255
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pgan_tf.config import NetworkConfig
from pgan_tf.legacy.layout import Kind, layers
from tfrecords_tools.host import core_count

_FUSED = {"upscale": "_up", "downscale": "_down", None: ""}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--directory", default=None, help="where to work; 2 GB at 1024x1024")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="import-", dir=given.directory) as name:
        directory = Path(name)
        file, output, pictures = (directory / n for n in ("network.pkl", "imported", "pictures"))
        write_network_file(file, given.resolution)
        imported = measure("import_legacy", f"--input={file}", f"--output={output}")
        arguments = [f"--network={output}", f"--output={pictures}", "--num_images=1"]
        generated = measure("generate", *arguments)
        sizes = [path.stat().st_size for path in output.rglob("*") if path.is_file()]
        with Image.open(pictures / "000000.png") as image:
            spread = round(float(np.std(image)), 1)
            picture = {"width": image.width, "height": image.height, "std": spread}
        results = {
            "benchmark": "import_network",
            "resolution": given.resolution,
            "cores": core_count(),
            "file_mb": round(file.stat().st_size / 1e6),
            **{f"import_{key}": value for key, value in imported.items()},
            "output_mb": round(sum(sizes) / 1e6),
            **{f"generate_{key}": value for key, value in generated.items()},
            "image": picture,
        }
    print(json.dumps(results))


def write_network_file(path: Path, resolution: int) -> None:
    """Pickles (G, D, Gs) as the original does; their class is not known to what reads them."""
    options = {"num_channels": 3, "resolution": resolution, "label_size": 0}
    module = types.ModuleType("tfutil")

    class Network:
        def __init__(self, name: str, kind: Kind):
            self._name, self._kind = name, kind

        def __getstate__(self) -> dict[str, Any]:
            return {
                "version": 2,
                "name": self._name,
                "static_kwargs": options,
                "build_module_src": "",
                "build_func_name": f"{self._kind[0].upper()}_paper",
                "variables": list(random_variables(self._kind, resolution).items()),
            }

    Network.__module__, Network.__qualname__ = "tfutil", "Network"
    module.Network = Network  # type: ignore[attr-defined]
    sys.modules["tfutil"] = module
    networks = Network("G", "generator"), Network("D", "discriminator"), Network("Gs", "generator")
    with path.open("wb") as file:
        pickle.dump(networks, file, protocol=4)


def random_variables(kind: Kind, resolution: int) -> dict[str, Any]:
    """Weights from N(0, 1) and biases of 0, under the original's names."""
    random = np.random.default_rng(0)
    variables: dict[str, Any] = {"lod": np.float32(0)}
    for original, layer in layers(kind, NetworkConfig(resolution=resolution)).items():
        shape = list(layer.kernel_shape)
        if layer.resample == "upscale":
            shape[2:] = reversed(shape[2:])
        name = original + _FUSED[layer.resample]
        variables[f"{name}/weight"] = random.standard_normal(shape, np.float32)
        variables[f"{name}/bias"] = np.zeros(layer.features, np.float32)
    return variables


def measure(command: str, *arguments: str) -> dict[str, float]:
    """Seconds and most megabytes that a command takes."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", f"pgan_tf.cli.{command}", *arguments], stdout=sys.stderr
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed with code {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss * 1024 / 1e6),
    }


if __name__ == "__main__":
    main()
