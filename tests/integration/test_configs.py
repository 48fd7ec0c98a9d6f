"""Every configuration of configs/: says what it is, is accepted, can be planned, and trains.

Each trains for a few steps by `pgan_tf.train`, on a tiny pyramid of its channels and labels, with 4
feature maps, batches of 4 and 8x8 as the final resolution: in the fade from 4x4 to 8x8, or at 8x8
where it does not grow. Configurations that then differ by widths, batches, rates, intervals or the
number of labels alone are trained once for all of them. That later stages follow is shown by their
plan here and by other tests; what needs full width, memory and convergence, is not shown.
"""

import dataclasses
import re

import numpy as np
import pytest

import pgan_tf
from pgan_tf.cli import train as command
from pgan_tf.config import TrainConfig, flags
from pgan_tf.runs import grids as sampling
from tests.helpers import presets
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

BATCH_SIZE = 4  # of the reduced configurations
PRESETS = presets.presets()
FLAGFILES = presets.flagfiles()


@pytest.fixture(params=PRESETS)
def name(request):
    return request.param


def comments(arguments):
    """The comments that the flagfiles on a command line open with, one after the other."""
    found = []
    for argument in arguments:
        if argument.startswith("--flagfile="):
            with open(argument.removeprefix("--flagfile=")) as file:
                comment = re.match("(?:#.*\n)+", file.read())
            assert comment, f"{argument}: a flagfile opens with a comment"
            found.append(comment[0])
    return "".join(found)


def test_there_are_presets_of_every_group():
    for gpus in (1, 2, 4, 8):
        for suffix in ("", "_fp16", "_bf16"):
            assert f"celebahq_1024_{gpus}gpu{suffix}" in PRESETS
    rows = ("a", "b", "c", "d", "e_star", "e", "f", "g", "h")
    assert {f"{data}_{row}" for data in ("celeba", "bedroom") for row in rows} <= {*PRESETS}


def test_it_says_what_it_is_and_whether_we_measured_it(name):
    comment = comments(PRESETS[name])
    fields = re.split(r"^# (Data|Hardware|Expect): +", comment, flags=re.MULTILINE)
    what, keys, values = fields[0], fields[1::2], fields[2::2]
    assert keys == ["Data", "Hardware", "Expect"]
    assert len(what) > 20
    data, hardware, expect = (" ".join(re.split(r"[\s#]+", value)) for value in values)
    assert data.startswith("pgan-prepare-tfrecords --source=")
    assert re.search(r"\d (GPU|CPU)", hardware)
    assert re.search(r"minute|hour|day|month|week", hardware)
    assert re.search(r"Measured; see \S+\.md|Not measured here", expect)


@pytest.mark.parametrize("flagfile", FLAGFILES)
def test_a_flagfile_is_in_the_tables_of_configurations(flagfile):
    page = (presets.ROOT / "docs" / "reference" / "configurations.md").read_text()
    assert f"`{flagfile}`" in page


def test_the_flags_of_half_precision_are_on_the_page_of_configurations():
    page = (presets.ROOT / "docs" / "reference" / "configurations.md").read_text()
    words = " ".join(page.replace("\\\n", " ").split())
    for options in presets.PRECISIONS.values():
        assert " ".join(options) in words


def test_it_is_planned_to_its_final_resolution_within_what_a_gpu_holds(name, capsys):
    config = presets.config_of(*PRESETS[name])
    gpus = int(found[1]) if (found := re.search(r"_(\d)gpu", name)) else 1
    assert command.main([*PRESETS[name], "--plan", "--plan_device=v100"]) == 0
    out = capsys.readouterr().out
    assert f"to {config.network.resolution}x{config.network.resolution}" in out
    assert f"{config.run.precision}, on {gpus} replica(s)" in out
    text = " ".join(re.split(r"[\s#]+", comments(PRESETS[name])))
    if said := re.search(r"--plan estimates ([\d.]+) (days|hours) on (one|\d) V100", text):
        total = next(line.split()[-1] for line in out.splitlines() if line.split()[:1] == ["total"])
        unit = {"days": 1, "hours": 24}[said[2]]
        assert f"{float(total) * unit:.2g}" in (said[1], said[1].removesuffix(".0"))
        assert said[3] == ("one" if gpus == 1 else str(gpus))
    last = [line.split() for line in out.splitlines() if re.match(r" *\d+x\d+ ", line)][-1]
    assert last[:2] == [f"{config.network.resolution}x{config.network.resolution}", "stabilize"]
    most = {256: 16, 512: 8, 1024: 4}  # of float32, by the original
    for resolution, limit in most.items():
        if resolution <= config.network.resolution:
            assert config.schedule.batch_size_at(resolution) / gpus <= limit


def labels_of(name):
    """Return the number of labels of the data that a configuration is made for."""
    if "cifar100" in name:
        return 100
    if "celeba_128_cond" in name:
        return 4
    return 10 if re.match("demo|cifar10|svhn|mnist_32|fashion", name) else 0


def reduced(config: TrainConfig) -> TrainConfig:
    """The same made narrow and short: one phase, in which each network is trained."""
    grows = config.schedule.start_resolution < config.network.resolution
    steps = max(2, config.optimizer.discriminator_steps)  # the generator's is the last of these
    if config.run.precision == "mixed_float16":
        steps = 8  # the first are skipped, until the loss scale is low enough
    kimg = steps * BATCH_SIZE / 1000
    return dataclasses.replace(
        config,
        data=dataclasses.replace(
            config.data,
            mirror_augment=False,
            validation_images=min(config.data.validation_images, 2),
        ),
        loss=dataclasses.replace(config.loss, r1_gamma=None, r1_gamma_by_resolution={}),
        network=dataclasses.replace(
            config.network, resolution=8, fmap_base=32, fmap_max=4, latent_size=None
        ),
        schedule=dataclasses.replace(
            config.schedule,
            start_resolution=4 if grows else 8,
            stabilize_kimg=0,
            fade_kimg=kimg if grows else 0,
            total_kimg=kimg,
            rampup_kimg=min(config.schedule.rampup_kimg, kimg),
            learning_rate=0.001,
            batch_size=BATCH_SIZE,
            batch_size_by_resolution={},
            learning_rate_by_resolution={},
        ),
        optimizer=dataclasses.replace(config.optimizer, ema_decay=0.9)
        if config.optimizer.ema_update != "off" and config.optimizer.ema_half_life_kimg is None
        else config.optimizer,
        run=dataclasses.replace(
            config.run, tick_kimg=1, sample_kimg=1, checkpoint_kimg=1, network_kimg=1
        ),
    )


def groups():
    """Reduced flagfiles, the number of channels and of labels; those that are alike only once."""
    found = {}
    for name, arguments in PRESETS.items():
        config = presets.config_of(*arguments)
        channels = 1 if re.match("mnist_32|fashion", name) else 3
        labels = labels_of(name) if config.data.use_labels else 0
        flagfile = flags.to_flagfile(reduced(config))
        # Without labels in the data, --use_labels changes nothing.
        kept = re.sub("--(use_labels|rampup_kimg)=.*\n", "", flagfile)
        alike = found.setdefault((kept, channels, labels > 0), [])
        alike.append((labels, reduced(config).schedule.rampup_kimg, flagfile, name))
    params = []
    for (_, channels, _), alike in found.items():
        labels, _, flagfile, _ = max(alike)
        names = ",".join(sorted(preset for *_, preset in alike))
        params.append(pytest.param(flagfile, channels, labels, id=names))
    return params


@pytest.mark.parametrize(("flagfile", "channels", "labels"), groups())
def test_it_trains(flagfile, channels, labels, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "_SCREEN_WIDTH", 0)  # the smallest grids
    monkeypatch.setattr(sampling, "_SCREEN_HEIGHT", 0)
    one_hot = np.eye(labels, dtype=np.float32)[np.arange(8) % labels] if labels else None
    data = write_pyramid(
        tmp_path / "data", resolution=8, channels=channels, count=8, labels=one_hot
    )
    config = flags.parse_flagfile(flagfile, "reduced")
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, data_dir=str(data)),
        run=dataclasses.replace(config.run, run_dir=str(tmp_path / "run")),
    )
    result = pgan_tf.train(config)
    assert result.images_seen == round(1000 * config.schedule.total_kimg)
    generator = pgan_tf.load_generator(tmp_path / "run")
    latents = np.zeros([2, *generator.inputs[0].shape[1:]], np.float32)
    inputs = [latents, np.eye(2, labels, dtype=np.float32)] if labels else latents
    images = np.asarray(generator(inputs))
    assert images.shape == (2, 8, 8, channels)
    assert np.isfinite(images).all()
