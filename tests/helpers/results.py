"""Metrics of two snapshots of a run, as an evaluation writes them."""

import dataclasses
from pathlib import Path

from pgan_tf.evaluation.results import SnapshotMetrics

RESULT = SnapshotMetrics(
    network=Path("runs/x/networks/generator-000150.keras"),
    digest="ab12",
    label="000150",
    images_seen=150000,
    values={"swd/16": 12.3456, "ms_ssim": 0.25},
    settings={"seed": 0, "num_images": {"swd": 10, "ms_ssim": 10}},
    floor={"swd/16": 1.5, "ms_ssim": 0.26},
)
EARLIER = dataclasses.replace(RESULT, label="000020", images_seen=20000)
SPREAD = dataclasses.replace(
    RESULT,
    spread={"swd/16": 0.3, "ms_ssim": 0.02},
    settings={**RESULT.settings, "bootstrap": {"swd": 20, "ms_ssim": 20}},
)
