"""Histories of scalars as a run would have reported them."""

import dataclasses

from pgan_tf.config import NetworkConfig, ScheduleConfig, TrainConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.diagnosis.findings import Subject
from pgan_tf.diagnosis.history import Tick
from pgan_tf.diagnosis.measurements import (
    AVERAGE_DISTANCE,
    CLASS_VARIETY,
    DISTANCE,
    MEMORIZATION,
    NEAREST,
    SEPARATION,
    VARIETY,
)

# A tick of 1 kimg of a healthy run; losses and scores of WGAN-GP.
HEALTHY = {
    SEPARATION: 0.85,
    MEMORIZATION: 0.1,
    VARIETY: 0.95,
    NEAREST: 1.0,
    CLASS_VARIETY: 0.9,
    DISTANCE: 0.15,
    AVERAGE_DISTANCE: 0.1,
    "scores/real": 1.0,
    "scores/fake": -1.0,
    "scores/real_sign": 0.5,
    "loss/gradient_norm": 1.1,
    "loss/gradient_penalty": 0.2,
    "loss/discriminator": -1.8,
    "updates/discriminator_skipped": 0.0,
    "updates/generator_skipped": 0.0,
}


def subject(num_images=1000, **sections) -> Subject:
    """A run of 4x4 to 8x8: phases of 20 kimg, and the last until 60 kimg.

    Args:
      num_images: that it trains on.
      sections: fields of some sections of the configuration by the section's name.
    """
    config = TrainConfig(
        network=NetworkConfig(resolution=8, fmap_base=32, fmap_max=8),
        schedule=ScheduleConfig(
            stabilize_kimg=20, fade_kimg=20, total_kimg=60, batch_size=20, learning_rate=0.002
        ),
    )
    for name, fields in sections.items():
        changed = dataclasses.replace(getattr(config, name), **fields)
        config = dataclasses.replace(config, **{name: changed})
    return Subject(config, num_images)


def history(of: Subject, *, kimg=range(1, 61), **changes) -> list[Tick]:
    """Ticks at whole kimg of a healthy run.

    Args:
      of: the run.
      kimg: of the ticks.
      changes: by tag, with `__` for its slash: a value, or a function of kimg.
    """
    schedule = Schedule(of.config.schedule, of.config.network.final_resolution)
    ticks = []
    for number in kimg:
        scalars = dict(HEALTHY)
        for name, value in changes.items():
            scalars[name.replace("__", "/")] = value(number) if callable(value) else value
        phase = schedule.phase_at(1000 * number - 1)
        if phase.fading:  # nothing is measured in fades
            scalars = {t: v for t, v in scalars.items() if not t.startswith("diagnosis/")}
        ticks.append(Tick(1000 * number, phase, scalars))
    return ticks
