"""A run directory with data, a generator, its metrics and a sheet, without training."""

import dataclasses
import json

import numpy as np

from pgan_tf.config import flags
from pgan_tf.evaluation.results import SnapshotMetrics
from pgan_tf.metrics import INCEPTION_SHA256
from pgan_tf.runs.data_note import note_lines
from pgan_tf.runs.grids import save_png
from tests.helpers.generators import save_tiny_generator
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.format import open_pyramid, sha256_of

# Such names as folders of images may have.
ODD_NAMES = ["a|b", "<script>alert(1)</script>", "--- # *x* [y](z) `q` \u202e", '"no": yes\n']


def make_run(directory, *, names=ODD_NAMES, channels=3):
    """Write `data/flowers` and `run` in a directory; return the run's path and its generator."""
    labels = np.eye(len(names), dtype=np.float32)[np.arange(24) % len(names)]
    data = write_pyramid(
        directory / "home" / "alice" / "flowers", resolution=8, channels=channels, labels=labels
    )
    config = tiny_config(data, label_size=len(names), channels=channels)
    config = dataclasses.replace(
        config, run=dataclasses.replace(config.run, init_from="/home/alice/secret/run")
    )
    run = directory / "run"
    file = run / "networks" / "generator-000005.keras"
    model = save_tiny_generator(
        file,
        label_size=len(names),
        channels=channels,
        description={
            "images_seen": 5000,
            "label_names": list(names),
            "label_size": len(names),
            "resolution": 8,
            "channels": channels,
        },
    )
    note = "\n".join(note_lines(open_pyramid(data)))
    (run / "config.flags").write_text(f"{flags.to_flagfile(config)}{note}\n", "utf-8")
    rows = [
        {"images_seen": n, "step": n, "speed/seconds_per_kimg": 2.0} for n in (1000, 5000, 9000)
    ]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return run, model


def write_metrics(
    run,
    *,
    label="000005",
    fid=12.5,
    num_images=100,
    with_neighbors=True,
    data=None,
    extractor=INCEPTION_SHA256,
    by_class=None,
):
    """Write metrics of the run's generator, and its sheet of neighbors."""
    file = run / "networks" / "generator-000005.keras"
    counts = {"fid": num_images, "neighbors": 10} if with_neighbors else {"fid": num_images}
    values = {"fid": fid, "neighbors/pixels/below_1_percent": 0.25}
    if by_class:
        counts["fid_by_class"] = num_images
        values |= {f"fid_by_class/{name}": value for name, value in by_class.items()}
    result = SnapshotMetrics(
        network=file,
        digest=sha256_of(file),
        label=label,
        images_seen=5000,
        values={name: value for name, value in values.items() if name.split("/")[0] in counts},
        settings={
            "seed": 0,
            "num_images": counts,
            "data": data or "/home/alice/flowers",
            "extractors": {"fid": extractor, "fid_by_class": extractor},
        },
        floor={"fid": 1e-05},
        spread={"fid": 0.5},
    )
    result.write_json(run)
    if with_neighbors:
        save_png(run / f"neighbors-{label}.png", np.full([8, 16, 3], 99, np.uint8))
