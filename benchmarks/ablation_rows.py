"""The rows of the paper's table 1, all made smaller alike, for benchmarks/ablation.py."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESOLUTION = 32

Flags = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
      name: the paper's letter.
      idea: what it adds.
      flags: of pgan-train, beside those that all rows share.
      celeba, bedroom: the paper's average SWD and MS-SSIM at 128x128.
    """

    name: str
    idea: str
    flags: Flags
    celeba: tuple[float, float]
    bedroom: tuple[float, float]


def rows(kimg: float) -> dict[str, Row]:
    """All rows by name, each made of the one it adds to.

    Args:
      kimg: length of every run, of which a stage's fade, and its stabilization, take 12 %.
    """
    baseline = {
        "start_resolution": RESOLUTION,
        "stabilize_kimg": 0,
        "fade_kimg": 0,
        "discriminator_steps": 5,
        "adam_beta2": 0.9,
        "batch_size": 32,
        "learning_rate": 0.0002,
        "ema_decay": round(0.99**20, 4),
        "latent_size": 16,
        "normalize_latents": False,
        "equalized_learning_rate": False,
        "generator_activation": "relu",
        "generator_norm": "batch",
        "output_activation": "tanh",
        "discriminator_norm": "layer",
        "minibatch_features": "none",
        "drift_weight": 0,
    }
    stage_kimg = round(0.12 * kimg, 3)
    growing = baseline | {
        "start_resolution": 4,
        "stabilize_kimg": stage_kimg,
        "fade_kimg": stage_kimg,
    }
    small = growing | {"batch_size": 8, "ema_decay": round(0.99**5, 4)}
    revised = small | {
        "discriminator_steps": 1,
        "adam_beta2": 0.99,
        "ema_decay": 0.99,
        "latent_size": 64,
        "normalize_latents": True,
        "generator_activation": "leaky_relu",
        "generator_norm": "none",
        "output_activation": "linear",
        "discriminator_norm": "none",
        "drift_weight": 0.001,
    }
    discrimination = revised | {"minibatch_features": "discrimination"}
    stddev = revised | {"minibatch_features": "stddev", "stddev_group_size": 0}
    equalized = stddev | {"equalized_learning_rate": True, "learning_rate": 0.002}
    full = equalized | {"generator_norm": "pixel"}
    table = [
        Row("a", "WGAN-GP (Gulrajani et al. 2017)", baseline, (9.28, 0.2854), (11.25, 0.0587)),
        Row("b", "+ progressive growing", growing, (4.28, 0.2838), (7.60, 0.0615)),
        Row("c", "+ small minibatch", small, (46.23, 0.4065), (49.52, 0.1061)),
        Row("d", "+ revised training parameters", revised, (8.07, 0.3027), (6.54, 0.0662)),
        Row("e*", "+ minibatch discrimination", discrimination, (9.84, 0.3057), (8.43, 0.0648)),
        Row("e", "minibatch stddev instead", stddev, (7.04, 0.2950), (6.48, 0.0671)),
        Row("f", "+ equalized learning rate", equalized, (4.39, 0.2902), (4.02, 0.0668)),
        Row("g", "+ pixelwise normalization", full, (3.56, 0.2845), (4.01, 0.0640)),
    ]
    return {row.name: row for row in table}


# What is learned first where the time is short: the ends of the table, then the steps between.
BY_VALUE = ("g", "a", "b", "d", "f", "c", "e", "e*")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One run of a row: its configuration and its directory."""

    out: Path
    data_dir: str
    kimg: float
    fmap_base: int
    fmap_max: int
    num_images: int

    def run_dir(self, row: Row, seed: int) -> Path:
        """Of one run."""
        return self.out / f"{row.name.replace('*', '-star')}-seed{seed}"

    def result_file(self, row: Row, seed: int) -> Path:
        """Path of the results of a run that has ended; beside its directory."""
        return self.run_dir(row, seed).with_suffix(".json")

    def train_arguments(self, row: Row, seed: int) -> list[str]:
        """Of pgan-train."""
        shared = {
            "data_dir": self.data_dir,
            "run_dir": self.run_dir(row, seed),
            "seed": seed,
            "use_labels": False,
            "resolution": RESOLUTION,
            "fmap_base": self.fmap_base,
            "fmap_max": self.fmap_max,
            "total_kimg": self.kimg,
            # The Theano version, which the paper's figures are of.
            "fused_scale": False,
            "reset_optimizer": False,
            "ema_update": "generator_step",
            "sample_kimg": self.kimg,
            "network_kimg": self.kimg,
            "checkpoint_kimg": max(1, self.kimg / 8),
            "keep_checkpoints": 1,
        }
        return [_flag(name, value) for name, value in (shared | dict(row.flags)).items()]

    def evaluate_arguments(self, row: Row, seed: int) -> list[str]:
        """Of pgan-evaluate."""
        return [
            f"--network={self.run_dir(row, seed)}",
            f"--data_dir={self.data_dir}",
            f"--num_images={self.num_images}",
            f"--cache_dir={self.out / 'evaluation'}",
            "--metrics=swd,ms_ssim",
            # What reals reach against other reals is the same for all.
            "--floor" if row.name == BY_VALUE[0] else "--nofloor",
        ]


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={value:g}" if isinstance(value, float) else f"--{name}={value}"
