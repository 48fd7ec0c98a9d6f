"""The measurements of docs/development/gpu.md, where a GPU is at hand for minutes.

    python benchmarks/gpu_suite.py --output=results.jsonl [--cases=4x4,32x32,...] [--at_a_time=2]

First all cases are compiled, a few at a time, into a cache of their own; then they are measured one
after the other, with nothing else on the GPU or the processor. What a measurement prints goes to
--output as soon as it is there, so an interrupted suite loses one case. With --at_a_time=1 the
seconds of compilation are those of a machine that does nothing else; more than two compete for the
processor and disturb the tuning of each other's kernels.
"""

import argparse
import concurrent.futures
import functools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_BENCHMARKS = Path(__file__).parent
_LARGE = "--resolution=1024 --batch_size=4 --alpha=1 --iterations=5 --calls_in_flight=20"
_SMALL = (
    "--resolution=32 --network_resolution=32 --batch_size=16 --fmap_base=1024 --fmap_max=128"
    " --alpha=0.5"
)
CASES = {
    "4x4": "--resolution=4 --network_resolution=1024 --batch_size=128 --alpha=1",
    "32x32": _SMALL,
    "32x32-bfloat16": f"{_SMALL} --precision=bfloat16",
    "32x32-8-steps": f"{_SMALL} --steps_per_call=8",
    "1024x1024": _LARGE,
    "1024x1024-bfloat16": f"{_LARGE} --precision=bfloat16",
}
_KERNELS = 40


def main() -> None:
    """Run the suite."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="lines of JSON are added to it")
    parser.add_argument("--cases", default=",".join(CASES), help="separated by commas")
    parser.add_argument("--at_a_time", type=int, default=2, help="cases to compile at a time")
    parser.add_argument("--limit_s", type=float, default=400, help="seconds for each process")
    given = parser.parse_args()
    names = given.cases.split(",")
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"cases are {', '.join(CASES)}. Received: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as cache:
        run = functools.partial(run_case, cache=cache, output=given.output, limit_s=given.limit_s)
        with concurrent.futures.ThreadPoolExecutor(given.at_a_time) as pool:
            succeeded = list(pool.map(lambda name: run(name, compiles=True), names))
        for name, ok in zip(names, succeeded, strict=True):
            if ok:
                run(name, compiles=False)


def run_case(name: str, *, compiles: bool, cache: str, output: Path, limit_s: float) -> bool:
    """Compile or measure a case, and write what it prints; return whether it succeeded."""
    flags = [*CASES[name].split(), "--jit_compile=on", f"--xla_cache_dir={cache}"]
    if compiles:
        flags += ["--iterations=1", "--calls_in_flight=1"]
    else:
        flags += [f"--kernels={_KERNELS}"]
    started = time.monotonic()
    command = [sys.executable, str(_BENCHMARKS / "train_step.py"), *flags]
    row = {"case": name, "what": "compile" if compiles else "measure"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
        lines = done.stdout.splitlines()
        row |= json.loads(lines[-1]) if done.returncode == 0 else {"error": done.stderr[-2000:]}
    except subprocess.TimeoutExpired:
        row |= {"error": f"more than {limit_s:g} s"}
    row["process_seconds"] = round(time.monotonic() - started, 1)
    with output.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps({k: v for k, v in row.items() if k != "kernels"}), flush=True)
    return "error" not in row


if __name__ == "__main__":
    main()
