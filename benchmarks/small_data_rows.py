"""The runs of benchmarks/small_data.py: methods against overfitting, losses against lost modes."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESOLUTION = 32
OVERFITTING, MODES = "overfitting", "modes"

# StyleGAN2-ADA's for CIFAR-10, which is of this size, and its interval (Karras et al. 2020). The
# default of `logistic`, 10, is made for 1024x1024.
_LOGISTIC = {"loss": "logistic", "r1_gamma": 0.01, "penalty_interval": 16}
_RPGAN = {"loss": "rpgan", "r1_gamma": 0.01, "r2_gamma": 0.01, "penalty_interval": 16}
# ADA moves within a run as short as these.
_ADA = {"augment": "ada", "augment_kimg": 100}

METHODS: Mapping[str, Mapping[str, Any]] = {
    "none": _LOGISTIC,
    "ada": _LOGISTIC | _ADA,
    "diffaugment": _LOGISTIC | {"augment": "diffaugment"},
    "rpgan": _RPGAN,
    "rpgan-ada": _RPGAN | _ADA,
}
LOSSES: Mapping[str, Mapping[str, Any]] = {
    "wgan_gp": {"loss": "wgan_gp"},
    "logistic": {"loss": "logistic", "r1_gamma": 1},
    "rpgan": {"loss": "rpgan", "r1_gamma": 1, "r2_gamma": 1},
}
# Those that reals are evaluated with: their values are the same for all.
_WITH_REALS = ("none", "wgan_gp")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of one method.

    Attributes:
      part: `overfitting`, or `modes`.
      method: its name in `METHODS`, or in `LOSSES`.
      images: to train on.
      seed: of the run.
    """

    part: str
    method: str
    images: int
    seed: int

    @property
    def name(self) -> str:
        """Of its directory, and in the results."""
        return f"{self.method}-{self.images}-seed{self.seed}"

    @property
    def flags(self) -> Mapping[str, Any]:
        """Of pgan-train, beside those that all runs share."""
        return (METHODS if self.part == OVERFITTING else LOSSES)[self.method]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All that the runs share.

    Attributes:
      out: directory of data, runs and the classifier.
      kimg: length of a run about overfitting.
      modes_kimg: length of a run about modes.
      fmap_base: of both networks.
      fmap_max: of both networks.
      num_images: fakes, and held-out reals, that metrics compare.
      num_mode_images: fakes of which modes are counted.
    """

    out: Path
    kimg: float
    modes_kimg: float
    fmap_base: int
    fmap_max: int
    num_images: int
    num_mode_images: int

    @property
    def held_out(self) -> Path:
        """The pyramid of held-out reals."""
        return self.out / "data" / "held-out"

    @property
    def classifier(self) -> Path:
        """The file of the classifier of garments."""
        return self.out / "classifier.keras"

    def data_dir(self, run: Run) -> Path:
        """The pyramid of a run."""
        kind = "fashion" if run.part == OVERFITTING else "fashion-rgb"
        return self.out / "data" / f"{kind}-{run.images}"

    def run_dir(self, run: Run) -> Path:
        """The directory of a run."""
        return self.out / run.name

    def kimg_of(self, run: Run) -> float:
        """Return the length of a run."""
        return self.kimg if run.part == OVERFITTING else self.modes_kimg

    def settings(self, run: Run) -> dict[str, Any]:
        """Return the flags of pgan-train that results depend on."""
        kimg = self.kimg_of(run)
        shared = {
            "seed": run.seed,
            "use_labels": False,
            "resolution": RESOLUTION,
            "fmap_base": self.fmap_base,
            "fmap_max": self.fmap_max,
            "batch_size": 8,
            "learning_rate": 0.01 if run.part == OVERFITTING else 0.004,
            # Growing is over soon: what is of interest comes after it.
            "stabilize_kimg": min(2.5, kimg / 40),
            "fade_kimg": min(2.5, kimg / 40),
            "ema_decay": 0.9995,
            "total_kimg": kimg,
            "network_kimg": min(20.0, kimg) if run.part == OVERFITTING else kimg,
        }
        return shared | dict(run.flags)

    def train_arguments(self, run: Run) -> list[str]:
        """Of pgan-train."""
        kimg = self.kimg_of(run)
        given = {
            "data_dir": self.data_dir(run),
            "run_dir": self.run_dir(run),
            "sample_kimg": kimg,
            "checkpoint_kimg": max(0.1, kimg / 40),
            "keep_checkpoints": 1,
        }
        return [_flag(name, value) for name, value in (given | self.settings(run)).items()]

    def evaluations(self, run: Run) -> list[list[str]]:
        """Return the arguments of one pgan-evaluate after the other."""
        floor = "--floor" if run.method in _WITH_REALS else "--nofloor"
        shared = [f"--network={self.run_dir(run)}", f"--cache_dir={self.out / 'evaluation'}", floor]
        if run.part == MODES:
            modes = [
                "--metrics=modes",
                f"--digit_classifier={self.classifier}",
                f"--num_images={self.num_mode_images}",
            ]
            return [shared + modes]
        shared += [f"--data_dir={self.held_out}", "--all_snapshots"]
        features = f"{Path(__file__).with_name('garments.py')}:features"
        images = [
            "--metrics=fid,ms_ssim",
            f"--features={features}",
            f"--num_images={self.num_images}",
        ]
        # Fewer, because sorting takes as long as all the rest.
        patches = ["--metrics=swd", f"--num_images={self.num_images // 5}"]
        return [
            [*shared, *arguments, f"--output={self.run_dir(run) / directory}"]
            for arguments, directory in ((images, "distances"), (patches, "patches"))
        ]


def overfitting_runs(
    methods: Sequence[str], sizes: Sequence[int], seeds: Sequence[int]
) -> list[Run]:
    """Return the runs in the order in which they tell most: smallest data, then seeds."""
    return [
        Run(OVERFITTING, method, images, seed)
        for images in sizes
        for seed in seeds
        for method in methods
    ]


def mode_runs(losses: Sequence[str], images: int, seeds: Sequence[int]) -> list[Run]:
    """Return the runs whose modes are counted, by seed."""
    return [Run(MODES, loss, images, seed) for seed in seeds for loss in losses]


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={value:g}" if isinstance(value, float) else f"--{name}={value}"
