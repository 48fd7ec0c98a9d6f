"""Every configuration of the paper's trains with the published figures, and nothing else.

The tables below are the published ones, written down apart from configs/. A test compares every
option: what a table does not name is the default. Memory, plans and comments' form are
tests/integration/test_configs.py's.
"""

import math
import re
from pathlib import Path

import pytest

from pgan_tf.cli import train
from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.step.gradients import gradient_norm_scale
from tests.helpers.presets import RESOLUTIONS, comment, config_of, flagfiles, presets, settings
from tfrecords_tools.command.flagfile import expand_flagfiles, flag_lines, is_flagfile

PRESETS = presets()
# What every table leaves out.
DEFAULTS = {
    "fmap_base": 8192, "fmap_max": 512, "fmap_decay": 1.0, "latent_size": 512,
    "normalize_latents": True,
    "convs_per_resolution": 2, "to_rgb_kernel_size": 1, "discriminator_fmap_divisor": 1,
    "generator_activation": "leaky_relu", "generator_leak": 0.2, "output_activation": "linear",
    "generator_norm": "pixel", "discriminator_norm": "none", "pixel_norm_epsilon": 1e-8,
    "equalized_learning_rate": True, "minibatch_features": "stddev", "stddev_group_size": 4,
    "adam_beta1": 0.0, "adam_beta2": 0.99, "adam_epsilon": 1e-8, "reset_optimizer": True,
    "discriminator_steps": 1, "simultaneous_updates": False, "ema_decay": 0.999,
    "loss": "wgan_gp", "gradient_penalty_weight": 10.0, "gradient_penalty_target": 1.0,
    "drift_weight": 0.001,
    "batch_sizes": 16, "learning_rates": 0.001, "rampup_kimg": 0.0, "rampdown_kimg": 0.0,
    "start_resolution": 4, "stabilize_kimg": 600, "fade_kimg": 600, "total_kimg": 15000,
    "mirror_augment": False, "precision": "float32",
}  # fmt: skip

# How the Theano version trained, which made the paper's figures.
THEANO = {"fused_scale": False, "ema_update": "generator_step", "reset_optimizer": False}
WHOLE_MINIBATCH = {"stddev_group_size": 0}
RAMP = {"rampup_kimg": 40}

PRECISIONS = {
    "": {"precision": "float32"},
    "_fp16": {"precision": "mixed_float16", "pixel_norm_epsilon": 1e-4},
    "_bf16": {"precision": "mixed_bfloat16"},
}

# By GPUs: the global batch, and the learning rate in thousandths, at each of RESOLUTIONS.
CELEBAHQ_V2 = {
    1: ((128, 128, 128, 64, 32, 16, 8, 4, 4), (1, 1, 1, 1, 1, 1, 1, 1, 1.5)),
    2: ((256, 256, 128, 64, 32, 16, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1, 1.5, 2)),
    4: ((512, 256, 128, 64, 32, 16, 16, 16, 16), (1, 1, 1, 1, 1, 1, 1.5, 2, 3)),
    8: ((512, 256, 128, 64, 32, 32, 32, 32, 32), (1, 1, 1, 1, 1, 1.5, 2, 3, 3)),
}
CELEBAHQ_V1_BATCHES = (16, 16, 16, 16, 16, 16, 14, 6, 3)
CELEBAHQ_DURATIONS = {
    "1gpu": "2 weeks", "2gpu": "1 week", "4gpu": "3 days", "8gpu": "2 days", "v1_1gpu": "a month",
}  # fmt: skip

# The most images a GPU holds; bfloat16 takes as much memory as float16.
MOST_PER_GPU = {
    "": {256: 16, 512: 8, 1024: 4},
    "_fp16": {512: 16, 1024: 8},
    "_bf16": {512: 16, 1024: 8},
}

LSUN_CATEGORIES = """
    airplane bedroom bicycle bird boat bottle bridge bus car cat chair churchoutdoor classroom
    conferenceroom cow diningroom diningtable dog horse kitchen livingroom motorbike person
    pottedplant restaurant sheep sofa tower train tvmonitor
"""

# Each row of table 1: the row it adds to, and what it changes.
ABLATION = {
    "a": (None, {
        "start_resolution": 128, "stabilize_kimg": 0, "fade_kimg": 0,
        "discriminator_steps": 5, "adam_beta2": 0.9, "batch_sizes": 64, "ema_decay": 0.999**20,
        "latent_size": 128, "normalize_latents": False,
        "generator_activation": "relu", "generator_norm": "batch", "output_activation": "tanh",
        "discriminator_norm": "layer", "drift_weight": 0, "minibatch_features": "none",
        "equalized_learning_rate": False, "learning_rates": 0.0001,
    }),
    "b": ("a", {"start_resolution": 4, "stabilize_kimg": 800, "fade_kimg": 800}),
    "c": ("b", {"batch_sizes": 16, "ema_decay": 0.999**5}),
    "d": ("c", {
        "discriminator_steps": 1, "adam_beta2": 0.99, "ema_decay": 0.999,
        "latent_size": 512, "normalize_latents": True, "generator_activation": "leaky_relu",
        "generator_norm": "none", "output_activation": "linear", "discriminator_norm": "none",
        "drift_weight": 0.001,
    }),
    "e_star": ("d", {
        "minibatch_features": "discrimination", "discrimination_kernels": 100,
        "discrimination_dims": 5,
    }),
    "e": ("d", {"minibatch_features": "stddev", "stddev_group_size": 0}),
    "f": ("e", {"equalized_learning_rate": True, "learning_rates": 0.001}),
    "g": ("f", {"generator_norm": "pixel"}),
}  # fmt: skip

# Average SWD, times 1000, and MS-SSIM: CelebA, then LSUN bedroom.
ABLATION_MEASURED = {
    "a": ("9.28", "0.2854", "11.25", "0.0587"),
    "b": ("4.28", "0.2838", "7.60", "0.0615"),
    "c": ("46.23", "0.4065", "49.52", "0.1061"),
    "d": ("8.07", "0.3027", "6.54", "0.0662"),
    "e_star": ("9.84", "0.3057", "8.43", "0.0648"),
    "e": ("7.04", "0.2950", "6.48", "0.0671"),
    "f": ("4.39", "0.2902", "4.02", "0.0668"),
    "g": ("3.56", "0.2845", "4.01", "0.0640"),
    "h": ("2.96", "0.2828", "3.31", "0.0636"),
}

# "Our norm" replaces batch norm; tanh stays in every variant.
MNIST_RGB = {
    "resolution": 32, "use_labels": False, "fmap_base": 64, "fmap_max": 256, "latent_size": 64,
    "convs_per_resolution": 1, "to_rgb_kernel_size": 3, "generator_leak": 0.3,
    "output_activation": "tanh", "drift_weight": 0, "discriminator_steps": 5, "batch_sizes": 64,
    "start_resolution": 32, "stabilize_kimg": 0, "fade_kimg": 0, "total_kimg": 10000,
}  # fmt: skip
MNIST_RGB_VARIANTS = {
    "baseline": {
        "generator_norm": "batch", "discriminator_norm": "batch", "equalized_learning_rate": False,
        "minibatch_features": "none",
    },
    "our_norm": {"minibatch_features": "none"},
    "stddev": WHOLE_MINIBATCH,
    "growing": {
        **WHOLE_MINIBATCH,
        "start_resolution": 4, "stabilize_kimg": 500, "fade_kimg": 2000, "total_kimg": 15000,
    },
}  # fmt: skip

# By the defaults, but for these.
OTHERS = {
    "celeba_128": {"resolution": 128, "mirror_augment": True},
    "cifar100_32": {"resolution": 32},
    "svhn_32": {"resolution": 32},
    "mnist_32": {"resolution": 32},
}

OWN_IMAGES_KIMG = {64: 7200, 128: 8400, 256: 9600, 512: 10800, 1024: 12000}

# Of this project, not of the paper.
NOT_PUBLISHED = r"demo|emoji_64|fashion_mnist_(gpu_)?32(_cond)?|own_images_(small_)?\d+"

by_precision = pytest.mark.parametrize("precision", PRECISIONS)
by_gpus = pytest.mark.parametrize("gpus", CELEBAHQ_V2)
by_data = pytest.mark.parametrize("data", ["celeba", "bedroom"])


def read(name) -> TrainConfig:
    return config_of(*PRESETS[name])


def published(**figures) -> dict:
    """`settings` of a configuration that has these figures, else what tables leave out."""
    found = settings(TrainConfig()) | DEFAULTS | figures
    for name in ("batch_sizes", "learning_rates"):
        if not isinstance(found[name], (tuple, list)):
            found[name] = [found[name]] * len(RESOLUTIONS)
        found[name] = list(found[name])
    found["ema_decay"] = round(found["ema_decay"], 6)
    return found


def ablation_row(row) -> dict:
    """Return the flags that a row of table 1 changes, those of the rows before it included."""
    before, changes = ABLATION[row]
    return (ablation_row(before) if before else {}) | changes


def ablation_settings(data, row) -> dict:
    common = {"resolution": 128, "use_labels": False, "fmap_base": 2048, "total_kimg": 10000}
    mirrored = {"mirror_augment": data == "celeba"}
    return published(**THEANO, **common, **mirrored, **ablation_row(row))


def test_every_configuration_is_known_to_the_command_by_its_name():
    for name, path in flagfiles().items():
        given = expand_flagfiles([f"--flagfile={name}"], train.COMMAND.flagfiles)
        assert given == expand_flagfiles([f"--flagfile={path}"])


def test_the_defaults_are_what_tables_leave_out():
    assert settings(TrainConfig()) == published()


def test_every_preset_is_held_against_a_table_or_is_not_of_the_paper():
    held = {f"celebahq_1024_{gpus}gpu{p}" for gpus in CELEBAHQ_V2 for p in PRECISIONS}
    held |= {f"celebahq_1024_v1_1gpu{p}" for p in PRECISIONS}
    held |= {"lsun_256", "lsun_256_full"} | {f"mnist_rgb_32_{v}" for v in MNIST_RGB_VARIANTS}
    held |= {f"{name}{labels}" for name in (*OTHERS, "cifar10_32") for labels in ("", "_cond")}
    held |= {f"{data}_{row}" for data in ("celeba", "bedroom") for row in ABLATION_MEASURED}
    assert held == {name for name in PRESETS if not re.fullmatch(NOT_PUBLISHED, name)}


def test_every_flagfile_is_a_preset_or_a_part_of_one():
    named = {Path(a.removeprefix("--flagfile=")) for args in PRESETS.values() for a in args}
    for name, path in flagfiles().items():
        assert path in named or name == "ablation/common", name


def test_a_flagfile_includes_at_most_one_other_which_includes_none():
    for path in flagfiles().values():
        included = [line for line in flag_lines(path.read_text(), str(path)) if is_flagfile(line)]
        assert len(included) <= 1, path
        for line in included:
            base = path.parent / line.removeprefix("--flagfile=")
            assert not any(map(is_flagfile, flag_lines(base.read_text(), str(base)))), path


def test_the_learning_rate_rises_as_the_theano_version_let_it():
    schedule = read("lsun_256_full").schedule
    for kimg in (0, 10, 20, 39.9):
        assert schedule.ramp_at(kimg) == pytest.approx(math.exp(-5 * (1 - kimg / 40) ** 2))
    assert schedule.ramp_at(40) == 1


@by_precision
@by_gpus
def test_celebahq_v2_has_the_published_batches_and_learning_rates(gpus, precision):
    batches, thousandths = CELEBAHQ_V2[gpus]
    assert settings(read(f"celebahq_1024_{gpus}gpu{precision}")) == published(
        resolution=1024,
        mirror_augment=True,
        batch_sizes=batches,
        learning_rates=[rate / 1000 for rate in thousandths],
        total_kimg=12000,
        **PRECISIONS[precision],
    )


@by_precision
def test_celebahq_v1_is_the_papers_as_the_tensorflow_version_ships_it(precision):
    assert settings(read(f"celebahq_1024_v1_1gpu{precision}")) == published(
        **THEANO,
        resolution=1024,
        mirror_augment=True,
        batch_sizes=CELEBAHQ_V1_BATCHES,
        stabilize_kimg=800,
        fade_kimg=800,
        total_kimg=19000,
        stddev_group_size=16,
        **PRECISIONS[precision],
    )


@by_precision
@pytest.mark.parametrize("gpus", [*CELEBAHQ_V2, "v1_1"])
def test_a_gpu_of_celebahq_holds_its_share_of_the_batch(gpus, precision):
    schedule = read(f"celebahq_1024_{gpus}gpu{precision}").schedule
    replicas = 1 if gpus == "v1_1" else gpus
    for resolution in RESOLUTIONS:
        share, left_over = divmod(schedule.batch_size_at(resolution), replicas)
        assert left_over == 0
        assert share <= MOST_PER_GPU[precision].get(resolution, math.inf), resolution


@pytest.mark.parametrize("preset", CELEBAHQ_DURATIONS)
def test_celebahq_says_how_long_the_original_took(preset):
    said = f"The original reports about {CELEBAHQ_DURATIONS[preset]}"
    assert re.search(rf"{said}\b", comment(f"celebahq_1024_{preset}"))


@pytest.mark.parametrize(("name", "mirrored"), [("lsun_256", True), ("lsun_256_full", False)])
def test_lsun_is_mirrored_except_where_all_images_are_taken(name, mirrored):
    assert settings(read(name)) == published(
        **THEANO,
        **WHOLE_MINIBATCH,
        **RAMP,
        resolution=256,
        use_labels=False,
        mirror_augment=mirrored,
        stabilize_kimg=800,
        fade_kimg=800,
        total_kimg=20000,
    )


def test_lsun_takes_100000_images_of_every_category_but_bedroom_and_dog():
    few, full = comment("lsun_256"), comment("lsun_256_full")
    assert "--num_images=100000 " in few
    assert "--num_images" not in full
    listed = re.search(r"at 256x256: ([a-z ]+)\.", few)
    assert sorted([*listed[1].split(), "bedroom", "dog"]) == LSUN_CATEGORIES.split()
    assert full.startswith("LSUN bedroom or dog")


@pytest.mark.parametrize("labels", ["", "_cond"])
def test_cifar10_aims_at_750_and_updates_both_networks_at_once(labels):
    assert settings(read(f"cifar10_32{labels}")) == published(
        **THEANO,
        **WHOLE_MINIBATCH,
        resolution=32,
        use_labels=bool(labels),
        fmap_base=4096,
        fmap_max=128,
        latent_size=128,
        gradient_penalty_target=750,
        simultaneous_updates=True,
        stabilize_kimg=400,
        fade_kimg=400,
        total_kimg=20000,
    )


@pytest.mark.parametrize("labels", ["", "_cond"])
@pytest.mark.parametrize("name", OTHERS)
def test_the_other_data_sets_train_by_the_defaults(name, labels):
    expected = published(**OTHERS[name], use_labels=bool(labels))
    assert settings(read(f"{name}{labels}")) == expected


@by_data
@pytest.mark.parametrize("row", ABLATION)
def test_a_row_of_the_ablation_adds_what_the_paper_names(row, data):
    assert settings(read(f"{data}_{row}")) == ablation_settings(data, row)


@by_data
def test_the_last_row_of_the_ablation_is_the_full_method_trained_for_longer(data):
    found, full = settings(read(f"{data}_h")), ablation_settings(data, "g")
    assert found.pop("total_kimg") > full.pop("total_kimg")
    assert found == full


@pytest.mark.parametrize("row", ABLATION_MEASURED)
def test_a_row_of_the_ablation_says_what_the_paper_measured(row):
    celeba_swd, celeba_ms_ssim, bedroom_swd, bedroom_ms_ssim = ABLATION_MEASURED[row]
    assert (
        f"Average SWD, times 1000, and MS-SSIM in the paper: CelebA {celeba_swd} and "
        f"{celeba_ms_ssim}, LSUN bedroom {bedroom_swd} and {bedroom_ms_ssim} "
    ) in comment(f"ablation/row_{row}")


@pytest.mark.parametrize("resolution", OWN_IMAGES_KIMG)
def test_own_images_train_with_celebahqs_batches_on_one_gpu(resolution):
    stages = RESOLUTIONS.index(resolution) + 1
    batches, thousandths = CELEBAHQ_V2[1]
    found = settings(read(f"own_images_{resolution}"))
    expected = published(
        resolution=resolution,
        mirror_augment=True,
        batch_sizes=batches,
        learning_rates=[rate / 1000 for rate in thousandths],
        total_kimg=OWN_IMAGES_KIMG[resolution],
    )
    for name in ("batch_sizes", "learning_rates"):  # later stages are never trained
        found[name], expected[name] = found[name][:stages], expected[name][:stages]
    assert found == expected


@pytest.mark.parametrize("resolution", OWN_IMAGES_KIMG)
def test_own_images_are_augmented_and_trained_for_less_if_they_are_few(resolution):
    few, many = (read(f"own_images_{size}{resolution}") for size in ("small_", ""))
    for stage in RESOLUTIONS[: RESOLUTIONS.index(resolution) + 1]:
        batch_size = many.schedule.batch_size_at(stage)
        assert few.schedule.batch_size_at(stage) == batch_size
        for final in (stage, resolution):  # of which --resolution makes one
            loss = few.loss.at_stage(stage)
            weight = loss.r1_gamma * gradient_norm_scale(loss, stage, final) ** 2
            assert weight == pytest.approx(0.0002 * stage**2 / batch_size, rel=1e-3)
    # The last stage trains as long after its fade.
    last = [Schedule(c.schedule, resolution).phases[-1] for c in (few, many)]
    assert [phase.end - phase.start for phase in last] == [2_400_000] * 2
    found, expected = settings(few), settings(many)
    changed = {name: value for name, value in found.items() if value != expected[name]}
    assert changed == {
        "loss": "logistic",
        "gradient_penalty_resolution": "stage",
        "r1_gamma": few.loss.r1_gamma,
        "r1_gamma_by_resolution": few.loss.r1_gamma_by_resolution,
        "augment": "ada",
        "validation_images": 100,
        "ema_half_life_kimg": 10,
        "ema_rampup": 0.05,
        "stabilize_kimg": 300,
        "fade_kimg": 300,
        "total_kimg": few.schedule.total_kimg,
    }


@pytest.mark.parametrize("labels", ["", "_cond"])
def test_fashion_mnist_on_a_gpu_trains_by_the_defaults(labels):
    expected = published(resolution=32, use_labels=bool(labels))
    assert settings(read(f"fashion_mnist_gpu_32{labels}")) == expected


@pytest.mark.parametrize("variant", MNIST_RGB_VARIANTS)
def test_mnist_rgb_has_networks_of_its_own_in_four_variants(variant):
    found = settings(read(f"mnist_rgb_32_{variant}"))
    assert found.pop("discriminator_fmap_divisor") in (2, 4)
    expected = published(**THEANO | RAMP | MNIST_RGB | MNIST_RGB_VARIANTS[variant])
    del expected["discriminator_fmap_divisor"]
    assert found == expected
