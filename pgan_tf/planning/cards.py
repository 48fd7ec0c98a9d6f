"""Speeds of the devices on which training was measured, for plans. Standard library only.

docs/guide/planning.md holds the model against the measurements.
"""

import contextlib
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Phase
from pgan_tf.networks.cost import (
    TYPICAL_OVERHEAD,
    count_layers,
    step_multiplications,
    training_passes,
)
from pgan_tf.planning.augment_cost import core_seconds
from pgan_tf.planning.step_memory import bytes_per_number, discriminator_outputs

# Passes of an iteration with the default options, with which cards were measured.
_USUAL_PASSES = 9


@dataclasses.dataclass(frozen=True)
class Speed:
    """Speed of a replica: a step takes the sum of what four resources take.

    Attributes:
      tflops: 10^12 floating-point operations a second, two for each multiply-add.
      step_seconds: seconds of each step, whatever its size.
      layer_seconds: seconds for each layer of both networks: starting its operations.
      traffic_seconds: seconds for each 10^9 bytes of the discriminator's outputs: all operations
        that read and write memory, of both networks.
      cores: those that augmentation takes time of; 0 on GPUs, where it was not measured.
    """

    tflops: float
    step_seconds: float = TYPICAL_OVERHEAD
    layer_seconds: float = 0.0
    traffic_seconds: float = 0.0
    cores: float = 0.0

    def seconds(self, config: TrainConfig, phase: Phase, *, replicas: int) -> float:
        """Return the seconds of a step.

        Args:
          config: the run's.
          phase: with a global batch size.
          replicas: number of replicas that it is split over.
        """
        network, resolution, fading = config.network, phase.resolution, phase.fading
        stage = config.at_stage(resolution)
        passes = training_passes(stage.loss, stage.optimizer)
        batch_size = phase.batch_size / replicas
        operations = 2 * step_multiplications(config, resolution, fading=fading) * batch_size
        outputs = discriminator_outputs(network, resolution, fading=fading) * batch_size
        usual = passes / _USUAL_PASSES
        augmentation = 0.0
        if self.cores:
            augmentation = core_seconds(stage, resolution) * batch_size / self.cores
        return (
            self.step_seconds
            + usual * self.layer_seconds * count_layers(network, resolution, fading=fading)
            + operations / (self.tflops * 1e12)
            + usual * self.traffic_seconds * outputs * bytes_per_number(config) / 1e9
            + augmentation
        )


@dataclasses.dataclass(frozen=True)
class Card:
    """A GPU and its speeds.

    Attributes:
      name: as its driver gives it, without its maker and variants.
      compiled: speed with XLA, by the kind of numbers: `float32` or `16 bit`.
      plain: speed without.
      source: where the speeds are from, for people.
    """

    name: str
    compiled: Mapping[str, Speed]
    plain: Mapping[str, Speed]
    source: str

    def speed(self, config: TrainConfig) -> Speed:
        """Return the speed of a replica of a run."""
        speeds = self.compiled if is_compiled(config) else self.plain
        return speeds["float32" if config.run.precision == "float32" else "16 bit"]


def is_compiled(config: TrainConfig) -> bool:
    """Return whether a run is compiled with XLA on GPUs."""
    return config.run.jit_compile != "off" and not config.network.normalizes_batches


def _of_measured(*, layer_seconds: float, traffic_seconds: float) -> Mapping[str, Speed]:
    # Half of what products of 8192x8192 matrices reach: 343 in TF32, 640 in bfloat16.
    return {
        kind: Speed(tflops, 0.0, layer_seconds, traffic_seconds)
        for kind, tflops in (("float32", 170.0), ("16 bit", 320.0))
    }


# At this rate 12,000 kimg at 1024x1024 take the two weeks that the original reports for one V100.
_V100 = Speed(5.0)
_V100_SPEEDS = {"float32": _V100, "16 bit": _V100}

CARDS: Mapping[str, Card] = {
    "h200": Card(
        "H200",
        compiled=_of_measured(layer_seconds=0.00019, traffic_seconds=0.035),
        plain=_of_measured(layer_seconds=0.00115, traffic_seconds=0.078),
        source="from steps measured there at 4x4, 32x32 and 1024x1024 with TensorFlow 2.21, "
        "float32 as TF32; other phases by their layers, multiplications and memory traffic",
    ),
    "v100": Card(
        "V100",
        compiled=_V100_SPEEDS,
        plain=_V100_SPEEDS,
        source="5 TFLOP/s, fitted to the two weeks that the original reports",
    ),
}
DEFAULT_CARD = "v100"


# `--plan_device` for this machine's cores.
CPU = "cpu"
# Of two cores that trained at 1024x1024 in float32 (docs/guide/planning.md), for each.
_CORE_TFLOPS = 0.0485


def cpu_speed(cores: int, replicas: int) -> Speed:
    """Return the speed of each of the replicas that share a machine's cores."""
    return Speed(_CORE_TFLOPS * cores / replicas, cores=cores / replicas)


def models_of_machine(root: Path = Path("/")) -> list[str]:
    """Return the names of this machine's NVIDIA GPUs, as their driver gives them."""
    models = []
    for file in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            text = file.read_text(errors="replace")
            models += re.findall(r"^Model:\s*(.+?)\s*$", text, re.M)[:1]
    return models


def model_of_machine(root: Path = Path("/")) -> str | None:
    """Return the name of this machine's first NVIDIA GPU; None without."""
    return next(iter(models_of_machine(root)), None)


def find_card(model: str) -> Card | None:
    """Return the card of a driver's name, such as `NVIDIA H200 NVL`; None if it is not listed."""
    words = re.split(r"[\s-]+", model.upper())
    return next((card for card in CARDS.values() if card.name in words), None)


def compile_minutes(config: TrainConfig, phases: Sequence[Phase]) -> float:
    """Return the minutes that XLA takes for all phases, roughly: 28 to 139 s each on an H200."""
    layers = (count_layers(config.network, p.resolution, fading=p.fading) for p in phases)
    return sum(20 + 3 * count for count in layers) / 60 if is_compiled(config) else 0.0
