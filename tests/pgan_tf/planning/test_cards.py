"""Speeds of listed cards, held against what was measured on them."""

import dataclasses

import pytest

from pgan_tf.config import (
    AugmentConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    TrainConfig,
)
from pgan_tf.config.phases import Schedule
from pgan_tf.planning.cards import CARDS, cpu_speed, find_card, model_of_machine
from pgan_tf.planning.plan import plan
from tests.helpers.trials import rows_of

WIDE = {"fmap_base": 8192, "fmap_max": 512}
NARROW = {"fmap_base": 1024, "fmap_max": 128}

# Images a second on an H200 with TensorFlow 2.21: network, resolution, batch, fading, precision,
# --jit_compile, measured. The compiled step is one program.
H200 = [
    (WIDE, 4, 128, False, "float32", "auto", 52_543),
    (NARROW, 32, 16, True, "float32", "auto", 2_884),
    (NARROW, 32, 16, True, "float32", "auto", 3_019),
    (WIDE, 1024, 4, False, "mixed_bfloat16", "auto", 102.6),
    (WIDE, 4, 128, False, "float32", "off", 12_290),
    (NARROW, 32, 16, True, "float32", "off", 636),
    (WIDE, 1024, 4, False, "float32", "off", 27.8),
    (WIDE, 1024, 4, False, "mixed_bfloat16", "off", 36.5),
]


@pytest.mark.parametrize(
    ("widths", "resolution", "batch", "fading", "precision", "jit", "rate"), H200
)
def test_an_h200_is_as_fast_as_measured_within_a_factor(
    widths, resolution, batch, fading, precision, jit, rate
):
    config = TrainConfig(
        network=NetworkConfig(resolution=1024 if widths is WIDE else 32, **widths),
        schedule=ScheduleConfig(batch_size=batch),
        run=RunConfig(precision=precision, jit_compile=jit),
    )
    schedule = Schedule(config.schedule, config.network.final_resolution)
    (phase,) = [p for p in schedule.phases if (p.resolution, p.fading) == (resolution, fading)]
    seconds = CARDS["h200"].speed(config).seconds(config, phase, replicas=1)
    assert 1 / 1.25 < batch / seconds / rate < 1.25  # promised: 1.5


def test_a_step_of_more_passes_takes_longer_and_replicas_share_it():
    config = TrainConfig(
        network=NetworkConfig(resolution=64), schedule=ScheduleConfig(batch_size=64)
    )
    phase = Schedule(config.schedule, 64).phases[-1]
    speed = CARDS["h200"].speed(config)
    alone = speed.seconds(config, phase, replicas=1)
    assert alone / 4 < speed.seconds(config, phase, replicas=4) < alone / 2
    critics = dataclasses.replace(config, optimizer=OptimizerConfig(discriminator_steps=5))
    assert speed.seconds(critics, phase, replicas=1) == pytest.approx(7 / 9 * alone)


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({}, 2 + 3 + 2),
        ({"loss": {"loss": "logistic", "penalty_interval": 2}}, 2 + 3 / 2 + 2),
        ({"loss": {"loss": "rpgan"}}, 2 + 6 + 3),
        ({"loss": {"loss": "lsgan"}, "optimizer": {"discriminator_steps": 2}}, 2 + 2 / 2),
        ({"optimizer": {"simultaneous_updates": True}}, 2 + 3 + 1),
    ],
    ids=str,
)
def test_augmentation_takes_time_of_cores_for_every_pixel_and_pass(options, passes):
    config = TrainConfig(
        network=NetworkConfig(resolution=64),
        schedule=ScheduleConfig(batch_size=16),
        loss=LossConfig(**options.get("loss", {})),
        optimizer=OptimizerConfig(**options.get("optimizer", {})),
    )
    phase = Schedule(config.schedule, 64).phases[-1]

    def more(**augment):
        changed = dataclasses.replace(config, augment=AugmentConfig(**augment))
        plain, augmented = (
            cpu_speed(4, 2).seconds(c, phase, replicas=2) for c in (config, changed)
        )
        return augmented - plain

    assert more(augment="fixed", augment_pipe="b") == pytest.approx(
        0.05e-6 * passes * 64**2 * 8 / 2
    )
    assert more(augment="fixed") == pytest.approx(
        sum(more(augment="fixed", augment_pipe=letter) for letter in "bgc")
    )
    assert 0 < more(augment="diffaugment") < more(augment="fixed")


def test_on_cpus_augmentation_takes_as_much_as_measured():
    # docs/guide/small-data.md
    config = TrainConfig(
        network=NetworkConfig(resolution=32, **NARROW), schedule=ScheduleConfig(batch_size=16)
    )
    augmented = dataclasses.replace(config, augment=AugmentConfig(augment="fixed"))
    phase = Schedule(config.schedule, 32).phases[-2]
    plain, more = (cpu_speed(2, 1).seconds(c, phase, replicas=1) for c in (config, augmented))
    # Processor time of both cores: 0.773 s without, 0.843 s with.
    assert 2 * (more - plain) == pytest.approx(0.843 - 0.773, rel=0.3)


def test_on_gpus_augmentation_is_left_out_and_the_plan_says_so():
    config = TrainConfig(
        network=NetworkConfig(resolution=8), augment=AugmentConfig(augment="diffaugment")
    )
    assert "--augment: its time is not counted" in plan(config, device="h200")
    assert "--augment" not in plan(config, device="cpu")
    assert "--augment" not in plan(dataclasses.replace(config, augment=AugmentConfig()))


def test_batch_norm_is_not_compiled():
    config = TrainConfig(network=NetworkConfig(resolution=8, generator_norm="batch"))
    assert CARDS["h200"].speed(config) == CARDS["h200"].plain["float32"]


@pytest.mark.parametrize(
    ("model", "card"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H200 NVL", "h200"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_cards_are_found_by_their_drivers_names(model, card):
    assert find_card(model) == (CARDS[card] if card else None)


@pytest.fixture
def machine(tmp_path):
    """A function that makes the root of a machine's file system with a GPU of some model."""

    def make(model):
        file = tmp_path / "proc/driver/nvidia/gpus/0000:19:00.0/information"
        file.parent.mkdir(parents=True)
        file.write_text(f"Model: \t\t {model}\nIRQ:   \t\t 45\n")
        return tmp_path

    return make


CONFIG = TrainConfig(network=NetworkConfig(resolution=64))


def test_the_machines_own_card_is_assumed(machine):
    root = machine("NVIDIA H200")
    assert model_of_machine(root) == "NVIDIA H200"
    text = plan(CONFIG, root=root)
    assert (
        "seconds: as on NVIDIA's H200 (--plan_device), from steps measured there at 4x4, 32x32 and"
        in text
    )
    assert text.splitlines()[-3].endswith("this machine's NVIDIA H200 is listed")
    assert rows_of(text) == rows_of(plan(CONFIG, device="h200"))


def test_a_card_that_is_not_listed_is_said(machine):
    text = plan(CONFIG, root=machine("NVIDIA L4"))
    assert "as on NVIDIA's V100 (--plan_device), 5 TFLOP/s, fitted to the two weeks" in text
    assert "this machine's NVIDIA L4 is not listed, only h200, v100" in text


def test_a_card_that_is_named_or_a_speed_counts_whatever_the_machine_has(machine):
    root = machine("NVIDIA H200")
    assert "as on NVIDIA's V100" in plan(CONFIG, device="v100", root=root)
    text = plan(CONFIG, tflops=7.0, root=root)
    assert "from multiplications at 7 TFLOP/s a replica" in text and "H200" not in text


def test_a_machine_without_an_nvidia_gpu_has_no_model(tmp_path):
    assert model_of_machine(tmp_path) is None
    assert "this machine's" not in plan(CONFIG, root=tmp_path)


def test_compilers_take_minutes_on_top(tmp_path):
    assert "; compiling takes about 11 minutes more" in plan(CONFIG, device="h200")
    run = RunConfig(jit_compile="off")
    assert "compiling" not in plan(dataclasses.replace(CONFIG, run=run), device="h200")
