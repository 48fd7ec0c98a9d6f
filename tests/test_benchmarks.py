"""The arithmetic of the benchmarks, as far as it needs no measurement."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from pgan_tf.runs.metrics_log import MetricsLog

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_import_each_other(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of_cost_model(capsys, monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["cost_model.py", *flags])
    load("cost_model").main()
    return {
        (row["resolution"], row["gpus"]): row
        for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    }


def test_one_gpu_reduces_nothing_and_several_reduce_every_weight(capsys, monkeypatch):
    rows = rows_of_cost_model(capsys, monkeypatch, "--latency_us=0", "--inner_gb=50")
    # 23.1 million weights each at 1024x1024 (table 2 of the paper), 4 bytes each.
    assert rows[1024, 1]["all_reduce_mb"] == pytest.approx(2 * 23.1 * 4, rel=0.005)
    assert rows[1024, 1]["all_reduce_ms"] == 0
    assert rows[1024, 8]["all_reduce_ms"] == pytest.approx(2 * 7 / 8 * 184.7 / 50, rel=0.01)
    assert rows[1024, 1]["efficiency"] == 1


def test_a_slow_disk_limits_large_images(capsys, monkeypatch):
    rows = rows_of_cost_model(capsys, monkeypatch, "--disk_gb=0.05")
    row = rows[1024, 8]
    assert row["longest"] == "input"
    assert row["input_mb_per_second"] == pytest.approx(50)
    assert row["images_per_second"] == pytest.approx(0.05e9 / (3 << 20), rel=0.01)


def test_waits_for_data_are_told_by_stage(tmp_path):
    lines = [
        {"speed/data_wait_fraction": 0.01, "progress/resolution": 4},
        {"speed/data_wait_fraction": 0.03, "progress/resolution": 8},
        {"metrics/swd": 1.0},
        {"speed/data_wait_fraction": 0.02, "progress/resolution": 8},
    ]
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for images_seen, values in enumerate(lines):
        log.append(images_seen, images_seen, values)
    assert load("start_up").data_wait(log) == {"4": 0.01, "8": 0.03}


def test_a_step_is_measured_and_counted(capsys, monkeypatch):
    flags = ["--resolution=8", "--fmap_base=16", "--fmap_max=4", "--batch_size=4", "--iterations=1"]
    monkeypatch.setattr(
        sys, "argv", ["train_step.py", *flags, "--warm_up=0", "--precision=bfloat16"]
    )
    train_step = load("train_step")
    rates = {"a convolution": iter([1e12, 0.5e12]), "a product": iter([0.4e12, 0.2e12])}
    monkeypatch.setattr(train_step, "large_products", lambda precision: list(rates))
    monkeypatch.setattr(train_step, "measure_rate", lambda product: next(rates[product]))
    train_step.main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    # 4 G + 14 D by hand, of 4 feature maps, RGB, latents of 4, fading from 4x4.
    generator = 4 * 64 + 16 * 9 * 16 + 16 * 16 * 16 + 64 * 9 * 16 + (64 + 16) * 4 * 3
    discriminator = (64 + 16) * 3 * 4 + 64 * 9 * 16 + 16 * 16 * 16 + 16 * 9 * 5 * 4 + 64 * 4 + 4
    work = 2 * (4 * generator + 14 * discriminator) * 4
    assert result["tflops"] * 1e12 * result["seconds_per_iteration"] == pytest.approx(
        work, rel=0.03
    )
    assert result["fraction_of_roof"] == pytest.approx(result["tflops"], rel=0.01)
    assert result["fraction_of_median_roof"] == pytest.approx(result["tflops"] / 0.75, rel=0.01)
    assert result["images_per_second"] * result["seconds_per_iteration"] == pytest.approx(
        4, rel=0.01
    )
    assert result["calls_in_flight"] == 1
    assert 0 < result["host_seconds_per_call"] <= result["seconds_per_iteration"] * 1.01


def test_calls_in_flight_are_timed_together_and_apart(monkeypatch):
    train_step = load("train_step")
    clock = iter([0.0, 0.0, 1.0, 1.0, 3.0, 9.0])
    monkeypatch.setattr(train_step.time, "perf_counter", lambda: next(clock))
    read = []

    class Result:
        def numpy(self):
            read.append(self)

    results = [Result(), Result()]
    started = iter(results)
    seconds, until_return = train_step.measure_calls(lambda: next(started), 2)
    assert (seconds, until_return) == (9.0, [1.0, 2.0])
    assert read == results[-1:]


def test_a_gpus_roof_is_of_repeated_large_products(monkeypatch):
    train_step = load("train_step")
    product = train_step.repeated_product(32, 3, tf.float32)
    assert product.operations == 3 * 2 * 32**3
    assert 0 < float(product.compute()) < 2
    monkeypatch.setattr(train_step, "gpus", lambda: ["a GPU"])
    asked = []
    monkeypatch.setattr(train_step, "repeated_product", lambda *given: asked.append(given))
    assert len(train_step.large_products("mixed_bfloat16")) == 1
    assert asked == [(8192, 16, tf.bfloat16)]


def test_a_compiled_step_is_measured_with_calls_in_flight(capsys, monkeypatch):
    flags = ["--resolution=4", "--fmap_base=8", "--fmap_max=2", "--batch_size=4", "--iterations=1"]
    flags += ["--warm_up=0", "--jit_compile=on", "--calls_in_flight=3", "--steps_per_call=2"]
    monkeypatch.setattr(sys, "argv", ["train_step.py", *flags])
    train_step = load("train_step")
    monkeypatch.setattr(train_step, "large_products", lambda precision: ["a product"])
    monkeypatch.setattr(train_step, "measure_rate", lambda product: 1e12)
    train_step.main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["jit_compile"] == "on" and result["calls_in_flight"] == 3
    assert min(result["trace_seconds"], result["first_seconds"]) > 0


def test_kernels_are_summed_by_name_and_operation(monkeypatch):
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    def start(directory):
        space = xplane_pb2.XSpace()
        space.planes.add(name="/host:CPU").lines.add().events.add(metadata_id=1, duration_ps=10**12)
        gpu = space.planes.add(name="/device:GPU:0")
        gpu.event_metadata[1].name, gpu.event_metadata[2].name = "wgrad", "fusion"
        gpu.stat_metadata[1].name, gpu.stat_metadata[2].name = "hlo_op", "conv.1"
        for metadata, milliseconds in ((1, 3), (2, 1), (1, 5)):
            event = gpu.lines.add().events.add(
                metadata_id=metadata, duration_ps=milliseconds * 10**9
            )
            if metadata == 1:
                event.stats.add(metadata_id=1, ref_value=2)
        (Path(directory) / "host.xplane.pb").write_bytes(space.SerializeToString())

    monkeypatch.setattr(tf.profiler.experimental, "start", start)
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: None)
    calls = []
    found = load("kernels").trace(lambda: calls.append(1), calls=2)
    assert found == [(4, 1, "wgrad", "conv.1"), (0.5, 0.5, "fusion", "")]
    assert len(calls) == 2


def test_the_gpu_suite_goes_on_after_a_case_that_fails(monkeypatch, tmp_path):
    (tmp_path / "train_step.py").write_text(
        "import sys, json\n"
        "if '--broken' in sys.argv: sys.exit('no such GPU')\n"
        "print('a warning')\n"
        "print(json.dumps({'images_per_second': 8.0, 'flags': sys.argv[1:]}))\n"
    )
    suite = load("gpu_suite")
    monkeypatch.setattr(suite, "_BENCHMARKS", tmp_path)
    monkeypatch.setattr(suite, "CASES", {"broken": "--broken", "sound": "--resolution=4"})
    output = tmp_path / "results.jsonl"
    flags = [f"--output={output}", "--at_a_time=1", "--cases=broken,sound"]
    monkeypatch.setattr(sys, "argv", ["gpu_suite.py", *flags])
    suite.main()
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(row["case"], row["what"]) for row in rows] == [
        ("broken", "compile"),
        ("sound", "compile"),
        ("sound", "measure"),
    ]
    assert "no such GPU" in rows[0]["error"]
    assert rows[2]["images_per_second"] == 8
    # Compiled into the cache that is measured with.
    cache = [flag for flag in rows[1]["flags"] if "cache" in flag]
    assert cache == [flag for flag in rows[2]["flags"] if "cache" in flag] != []
