"""Every flagfile of configs/: says what it is, is accepted, can be planned, and trains.

Each trains a few steps by `pgan_tf.train`, at reduced width, on a tiny pyramid of its resolution,
channels and labels: at 4x4 and in the fade to 8x8, or at up to 32x32 where it does not grow.
Those that then differ by resolution, widths, batches, rates or the number of labels alone are
trained once, at the largest resolution among them. That later stages follow is shown by their plan
here and by other tests; what needs full width, memory and convergence, is not shown.
"""

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
import pytest

import pgan_tf
from pgan_tf import flags
from pgan_tf.cli import train as command
from pgan_tf.config import TrainConfig
from tests.pgan_tf.tiny import write_pyramid

ROOT = Path(__file__).parent.parent.parent
CONFIGS = sorted((ROOT / "configs").rglob("*.flags"))


def name(path):
    return str(path.relative_to(ROOT / "configs").with_suffix(""))


def read(path):
    return flags.parse_flagfile(path.read_text(), str(path))


@pytest.fixture(params=CONFIGS, ids=name)
def path(request):
    return request.param


def test_there_are_flagfiles_of_every_group():
    names = {name(path) for path in CONFIGS}
    for gpus in (1, 2, 4, 8):
        assert {f"celebahq_1024_{gpus}gpu{suffix}" for suffix in ("", "_fp16", "_bf16")} <= names
    rows = ("a", "b", "c", "d", "e_star", "e", "f", "g", "h")
    assert {f"ablation/{data}_{row}" for data in ("celeba", "bedroom") for row in rows} <= names


def test_it_says_what_it_is_and_whether_we_measured_it(path):
    comment = re.match("(?:#.*\n)+", path.read_text())
    assert comment, "a flagfile opens with a comment"
    fields = re.split(r"^# (Data|Hardware|Expect): +", comment[0], flags=re.MULTILINE)
    what, keys, values = fields[0], fields[1::2], fields[2::2]
    assert keys == ["Data", "Hardware", "Expect"]
    assert len(what) > 20
    data, hardware, expect = (" ".join(re.split(r"[\s#]+", value)) for value in values)
    assert data.startswith("pgan-prepare-tfrecords --source=")
    assert re.search(r"\d (GPU|CPU)", hardware)
    assert re.search(r"minute|hour|day|month|week", hardware)
    assert re.search(r"Measured; see \S+\.md|Not measured here", expect)


def test_it_is_in_the_table_of_configurations(path):
    page = (ROOT / "docs" / "configurations.md").read_text()
    assert f"`{name(path)}`" in page


def test_it_is_planned_to_its_final_resolution_within_what_a_gpu_holds(path, capsys):
    config = read(path)
    gpus = int(found[1]) if (found := re.search(r"_(\d)gpu", path.name)) else 1
    assert command.main([f"--flagfile={path}", "--plan", f"--plan_replicas={gpus}"]) == 0
    out = capsys.readouterr().out
    assert f"to {config.network.resolution}x{config.network.resolution}" in out
    assert f"{config.run.precision}, on {gpus} replica(s)" in out
    last = [line.split() for line in out.splitlines() if re.match(r" *\d+x\d+ ", line)][-1]
    assert last[:2] == [f"{config.network.resolution}x{config.network.resolution}", "stabilize"]
    most = {256: 16, 512: 8, 1024: 4}  # of float32, by the original
    for resolution, limit in most.items():
        if resolution <= config.network.resolution:
            assert config.schedule.batch_size_at(resolution) / gpus <= limit


def labels_of(path):
    """How many labels the data have for which a flagfile is made."""
    if "cifar100" in path.name:
        return 100
    if "celeba_128_cond" in path.name:
        return 4
    return 10 if re.match("demo|cifar10|svhn|mnist_32|fashion", path.name) else 0


def reduced(config: TrainConfig) -> TrainConfig:
    """The same made narrow and short: two steps a phase, with 4 feature maps."""
    network, schedule = config.network, config.schedule
    grows = schedule.start_resolution < network.resolution
    final = network.resolution if grows else min(network.resolution, 32)
    batch_size = 8 if grows else 4
    kimg = 2 * batch_size * config.optimizer.discriminator_steps / 1000
    keeps_average = config.optimizer.ema_update != "off"
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, mirror_augment=False),
        network=dataclasses.replace(
            network,
            resolution=final,
            fmap_base=4 * final,
            fmap_max=4,
            latent_size=None,
            # Of a batch of 8 or 4, all: what a larger group comes down to.
            stddev_group_size=min(network.stddev_group_size, 4) or batch_size,
        )
        if network.minibatch_features == "stddev"
        else dataclasses.replace(
            network, resolution=final, fmap_base=4 * final, fmap_max=4, latent_size=None
        ),
        schedule=dataclasses.replace(
            schedule,
            start_resolution=min(schedule.start_resolution, final),
            stabilize_kimg=kimg if grows else 0,
            fade_kimg=kimg if grows else 0,
            total_kimg=2 * kimg if grows else kimg,
            rampup_kimg=min(schedule.rampup_kimg, kimg),
            learning_rate=0.001,
            batch_size=batch_size,
            batch_size_by_resolution={},
            learning_rate_by_resolution={},
        ),
        optimizer=dataclasses.replace(config.optimizer, ema_decay=0.9)
        if keeps_average
        else config.optimizer,
        run=dataclasses.replace(
            config.run, tick_kimg=1, sample_kimg=1, checkpoint_kimg=1, network_kimg=1
        ),
    )


def groups():
    """Reduced flagfiles, the number of channels and of labels; those that are alike only once."""
    found = {}
    for path in CONFIGS:
        config = read(path)
        channels = 1 if re.match("mnist_32|fashion", path.name) else 3
        labels = labels_of(path) if config.data.use_labels else 0
        lines = flags.to_flagfile(reduced(config)).splitlines()
        whatever = ("--resolution", "--fmap_base", "--start_resolution", "--use_labels")
        kept = tuple(line for line in lines if not line.startswith(whatever))
        largest = reduced(config).network.resolution, labels
        entry = (*largest, channels, "\n".join(lines))
        found.setdefault((kept, channels, labels > 0), []).append((entry, name(path)))
    for alike in found.values():
        (_, labels, channels, flagfile), _ = max(alike)
        names = ",".join(path_name for _, path_name in alike)
        yield pytest.param(flagfile, channels, labels, id=names)


@functools.cache
def pyramid(directory, resolution, channels, labels):
    one_hot = np.eye(labels, dtype=np.float32)[np.arange(8) % labels] if labels else None
    path = directory / f"tiny-{resolution}-{channels}-{labels}"
    return write_pyramid(path, resolution=resolution, channels=channels, count=8, labels=one_hot)


@pytest.mark.parametrize(("flagfile", "channels", "labels"), groups())
def test_it_trains(flagfile, channels, labels, tmp_path, tmp_path_factory):
    config = flags.parse_flagfile(flagfile, "reduced")
    resolution = config.network.resolution
    data = pyramid(tmp_path_factory.getbasetemp(), resolution, channels, labels)
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
    assert images.shape[0] == 2 and images.shape[3] == channels
    assert np.isfinite(images).all()
