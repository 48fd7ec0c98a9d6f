"""Whole commands: train with labels, and with the networks of runs with others or none."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.cli import generate, train
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.format.manifest import write_manifest

pytestmark = pytest.mark.slow

FLAGS = ["--stabilize_kimg=0", "--fade_kimg=0", "--batch_size=8", "--total_kimg=0.016"]
SHAPE = ["--fmap_base=32", "--fmap_max=8", "--start_resolution=8"]


def prepared(directory, names, seed):
    """Write a pyramid of classes with names; None: without labels."""
    labels = None if names is None else np.eye(len(names))[np.arange(24) % len(names)]
    data = write_pyramid(directory, resolution=8, channels=3, labels=labels, seed=seed)
    if names is not None:
        facts = {"count": 24, "resolution": 8, "channels": 3, "label_names": names}
        write_manifest(data, facts)
    return data


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of two classes and of none, by name, each with its data beside it."""
    root = tmp_path_factory.mktemp("transfer")
    for name, classes in (("labelled", ["cat", "dog"]), ("plain", None)):
        data = prepared(root / f"data-{name}", classes, seed=1)
        arguments = [f"--data_dir={data}", f"--run_dir={root / name}", *FLAGS, *SHAPE]
        assert train.main(arguments) == 0
    return root


def variables(run, images_seen):
    reader = tf.train.load_checkpoint(str(run / "checkpoints" / f"state-{images_seen:09d}"))
    return {
        key.split("/")[1].replace(".S", "/"): reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if key.startswith(("variables/generator", "variables/discriminator"))
    }


@pytest.mark.parametrize(
    ("source", "classes", "said"),
    [
        ("labelled", ["dog", "emu", "owl"], "over for 1 class, dog; begin anew for 2 classes, emu"),
        (
            "labelled",
            None,
            "labels: those of 2 of the source's 2 left out (this run has no labels)",
        ),
        ("plain", ["cat", "dog"], "begin anew for 2 classes, cat, dog (the source has no labels)"),
    ],
    ids=["other classes", "to none", "from none"],
)
def test_networks_are_trained_on_with_other_labels(runs, tmp_path, capsys, source, classes, said):
    data = prepared(tmp_path / "data", classes, seed=2)
    # A learning rate that changes nothing, to find the weights again. Averages still move a little.
    assert (
        train.main(
            [
                *(f"--data_dir={data}", f"--init_from={runs / source}"),
                *(f"--run_dir={tmp_path / 'run'}", "--freeze_discriminator=1"),
                *(*FLAGS, "--learning_rate=1e-12"),
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert f"--init_from={runs / source}: the networks of state-000000016" in out
    assert said in out
    before, after = variables(runs / source, 16), variables(tmp_path / "run", 16)
    label_size = len(classes or ())
    for network in ("generator", "generator_ema"):
        old, new = (v.pop(f"{network}/4x4_dense/kernel") for v in (before, after))
        assert len(new) == 8 + label_size
        np.testing.assert_allclose(new[:8], old[:8], atol=1e-4)
        if classes and classes[0] == "dog":
            np.testing.assert_allclose(new[8], old[9], atol=1e-4)
    for kind in ("kernel", "bias"):
        old, new = (v.pop(f"discriminator/4x4_dense1/{kind}") for v in (before, after))
        assert new.shape[-1] == 1 + label_size
        np.testing.assert_allclose(new[..., 0], old[..., 0], atol=1e-4)
    for name, value in before.items():
        if name.startswith(("generator/", "generator_ema/", "discriminator/")):
            np.testing.assert_allclose(after[name], value, atol=1e-4, err_msg=name)
    pictures = [f"--network={tmp_path / 'run'}", f"--output={tmp_path / 'out'}", "--num_images=3"]
    assert generate.main(pictures) == 0


def test_the_refusal_of_data_with_other_labels_names_a_command_that_works(runs, tmp_path, capsys):
    data = prepared(tmp_path / "data", None, seed=2)
    assert train.main([f"--data_dir={data}", f"--run_dir={runs / 'labelled'}"]) == 2
    way = capsys.readouterr().err.split("To train its networks on these: pgan-train ")[1].split()
    assert way[0] == f"--init_from={runs / 'labelled'}"
    assert train.main([*way, *FLAGS]) == 0


def test_labels_are_ignored_on_demand(runs, tmp_path, capsys):
    given = [f"--init_from={runs / 'labelled'}", f"--data_dir={runs / 'data-labelled'}"]
    assert train.main([*given, f"--run_dir={tmp_path / 'run'}", "--nouse_labels", *FLAGS]) == 0
    assert "(this run has no labels)" in capsys.readouterr().out
