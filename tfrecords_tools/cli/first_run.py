"""The first `pgan-train` command for a new pyramid: one that this machine can finish."""

import shlex
from pathlib import Path
from typing import NamedTuple

from tfrecords_tools.shape import SQUARE, Base


class _Config(NamedTuple):
    """A flagfile in configs/, its final resolution, and the time it takes in words."""

    name: str
    resolution: int
    lasts: str


_SMALL = _Config("demo", 32, "some minutes on two CPU cores")
_SMALL_OF_MANY = _Config("fashion_mnist_32", 32, "about an hour on two CPU cores")
_LARGE = _Config("emoji_64", 64, "about half an hour on two CPU cores")
_SIDES_FOR_GPU = (64, 128, 256, 512, 1024)

# Images from which a run of an hour beats one of minutes at low resolutions.
_MANY_IMAGES = 20_000
# Images below which a run on a GPU is augmented; and of which it holds out so many by itself.
_ENOUGH_WITHOUT_AUGMENTATION = 5_000
_HELD_OUT, _ENOUGH_TO_HOLD_OUT = 100, 1_000
# The configurations for GPUs expect some thousands of images.
_FEW_IMAGES = 2_000

# Sources of digits and letters, which mirroring would falsify.
_NOT_MIRRORED = frozenset({"idx", "mnist_rgb", "svhn"})


def has_nvidia_gpu(root: Path = Path("/")) -> bool:
    """Return whether this machine has the device file of an NVIDIA GPU."""
    return any((root / "dev").glob("nvidia[0-9]*"))


def first_run(
    data_dir: str,
    run_dir: str,
    *,
    resolution: int,
    count: int,
    source: str,
    on_gpu: bool,
    base: Base = SQUARE,
) -> list[str]:
    """Return lines for the user: a command that trains on a pyramid, and remarks on it.

    Args:
      data_dir: the pyramid, as the user wrote it.
      run_dir: the run directory to suggest.
      resolution: the pyramid's.
      count: number of its images.
      source: name of the source that it was made from.
      on_gpu: whether to suggest a configuration for a GPU.
      base: height and width of its images at resolution 4.
    """
    for_gpu = _config_for_gpu(resolution, count)
    config = for_gpu if on_gpu else _config_for_cpu(resolution, count)
    reached = min(config.resolution, resolution)
    flags = [
        f"--flagfile=configs/{config.name}.flags",
        f"--data_dir={data_dir}",
        f"--run_dir={run_dir}",
    ]
    if reached < config.resolution:
        flags.append(f"--resolution={reached}")
    if source in _NOT_MIRRORED and (on_gpu or config is _LARGE):
        flags.append("--nomirror_augment")
    if on_gpu and count < _ENOUGH_TO_HOLD_OUT:
        flags.append(f"--validation_images={_HELD_OUT * count // _ENOUGH_TO_HOLD_OUT}")
    command = shlex.join(["pgan-train", *flags])
    lines = [
        f"Train on it: {command}",
        f"  to {base.text_at(reached)}, in {config.lasts}; with --plan"
        f"{'' if on_gpu else ' --plan_device=cpu'} it prints an estimate and exits",
    ]
    if not on_gpu and resolution > reached:
        lines.append(
            f"  this machine has no NVIDIA GPU, which {base.text_at(resolution)} takes: there give "
            f"--flagfile=configs/{for_gpu.name}.flags"
        )
    if count < _FEW_IMAGES:
        lines.append(
            f"  {count} images are few: expect images much like them rather than new ones; some "
            "thousands are better"
        )
    return lines


def _config_for_gpu(resolution: int, count: int) -> _Config:
    side = max((side for side in _SIDES_FOR_GPU if side <= resolution), default=_SIDES_FOR_GPU[0])
    few = "small_" if count < _ENOUGH_WITHOUT_AUGMENTATION else ""
    return _Config(f"own_images_{few}{side}", side, "days on a GPU")


def _config_for_cpu(resolution: int, count: int) -> _Config:
    if resolution >= _LARGE.resolution:
        return _LARGE
    return _SMALL_OF_MANY if count >= _MANY_IMAGES else _SMALL
