"""The configurations that docs/reference/configurations.md names, as arguments of pgan-train."""

import dataclasses
import itertools
from pathlib import Path

from pgan_tf.cli import train
from pgan_tf.config import TrainConfig, flags
from tfrecords_tools.command.flagfile import expand_flagfiles

ROOT = Path(__file__).parent.parent.parent
CONFIGS = ROOT / "configs"
RESOLUTIONS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
ABLATION_DATA = ("celeba", "bedroom")
ABLATION_ROWS = ("a", "b", "c", "d", "e_star", "e", "f", "g", "h")
PRECISIONS = {
    "": (),
    "_fp16": ("--precision=mixed_float16", "--pixel_norm_epsilon=0.0001"),
    "_bf16": ("--precision=mixed_bfloat16",),
}


def flagfiles() -> dict[str, Path]:
    """Every file of configs/ by its name, such as `ablation/row_a`."""
    return {
        str(path.relative_to(CONFIGS).with_suffix("")): path
        for path in sorted(CONFIGS.rglob("*.flags"))
    }


def presets() -> dict[str, tuple[str, ...]]:
    """The arguments of every documented configuration, by its name.

    Half precisions of CelebA-HQ end in `_fp16` and `_bf16`; rows of the ablation are `celeba_a`.
    """
    found = {}
    for name, path in flagfiles().items():
        if not name.startswith("ablation/"):
            for suffix, options in PRECISIONS.items():
                if not suffix or name.startswith("celebahq"):
                    found[f"{name}{suffix}"] = (f"--flagfile={path}", *options)
    for data in ABLATION_DATA:
        for row in ABLATION_ROWS:
            files = flagfiles()[f"ablation/{data}"], flagfiles()[f"ablation/row_{row}"]
            found[f"{data}_{row}"] = tuple(f"--flagfile={path}" for path in files)
    return found


def config_of(*arguments: str) -> TrainConfig:
    """The configuration that pgan-train reads from its command line."""
    flag_values = train.COMMAND.new_flags()
    rest = flag_values(["pgan-train", *expand_flagfiles(arguments)])[1:]
    assert not rest, rest
    return flags.config_from_flags(flag_values)


def comment(name) -> str:
    """Return the comments at the top of a flagfile, on one line."""
    lines = flagfiles()[name].read_text().splitlines()
    head = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(" ".join(line.strip("# \\") for line in head).split())


def settings(config: TrainConfig) -> dict:
    """Every option by its name, batches and learning rates as lists by resolution."""
    found = {}
    for section in dataclasses.fields(config):
        found |= dataclasses.asdict(getattr(config, section.name))
    for name in ("batch_size", "learning_rate"):
        del found[name], found[f"{name}_by_resolution"]
    found["batch_sizes"] = [config.schedule.batch_size_at(r) for r in RESOLUTIONS]
    found["learning_rates"] = [config.schedule.learning_rate_at(r) for r in RESOLUTIONS]
    found["latent_size"] = config.network.resolved_latent_size
    found["ema_decay"] = round(config.optimizer.ema_decay, 6)
    return found
