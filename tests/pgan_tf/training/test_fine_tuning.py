"""A run begins with the networks of another, or is refused before it is made."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import LossConfig, TrainConfig
from pgan_tf.config.flags import to_flagfile
from pgan_tf.legacy.importing import import_networks
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.fine_tuning import (
    check_initial_networks,
    initial_config,
    load_initial_networks,
)
from tests.helpers.network_files import golden_states, golden_variables, write_network_file
from tests.helpers.original_networks import from_original, original_name
from tests.helpers.tiny import tiny_config
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow


def begin(config, strategy):
    """Return the state that a run begins with."""
    check_initial_networks(config, RunDirectory(config.run.run_dir), None)
    state = TrainState(config, strategy)
    load_initial_networks(config, state, None)
    return state


def with_init(config, init_from, **network):
    return dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, init_from=str(init_from), seed=7),
        network=dataclasses.replace(config.network, **network),
    )


def test_further_averages_begin_with_the_weights_in_training(trained, tmp_path, one_device):
    config = with_init(tiny_config(run_dir=tmp_path / "new"), tmp_path / "trained")
    optimizer = dataclasses.replace(config.optimizer, ema_lengths="0.05,0.1")
    state = begin(dataclasses.replace(config, optimizer=optimizer), one_device)
    for average in state.power_averages:
        for name, value in values(state.generator).items():
            np.testing.assert_array_equal(average.variables[name], value)


def values(network):
    return {path: variable.numpy() for path, variable in network.variables.items()}


@pytest.fixture
def trained(tmp_path, one_device):
    """A run directory of `tiny_config`, and the state in its newest checkpoint."""
    config = tiny_config(run_dir=tmp_path / "trained", seed=3)
    state = TrainState(config, one_device)
    checkpoints = Checkpoints(tmp_path / "trained" / "checkpoints", state, keep=3)
    checkpoints.save()
    rng = np.random.default_rng(0)
    for network in (state.generator, state.discriminator, state.ema_generator):
        for variable in network.variables.values():
            variable.assign(rng.normal(size=variable.shape))
    state.images_seen = 96
    checkpoints.save()
    (tmp_path / "trained" / "config.flags").write_text(to_flagfile(config))
    return tmp_path / "trained", config, state


@pytest.mark.parametrize("devices", ["one_device", "two_replicas"])
def test_a_run_begins_with_the_networks_and_new_optimizers(tmp_path, trained, devices, request):
    directory, config, before = trained
    config = with_init(config, directory)
    state = begin(config, request.getfixturevalue(devices))
    for name in ("generator", "discriminator", "ema_generator"):
        expected = values(getattr(before, name))
        for path, array in values(getattr(state, name)).items():
            np.testing.assert_array_equal(array, expected[path], err_msg=path)
    assert (state.images_seen, state.phase_index) == (0, 0)
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        assert all(not np.any(v) for v in optimizer.variables if "learning_rate" not in v.path)


def test_imported_networks_are_those_of_the_file(tmp_path, one_device):
    path = write_network_file(tmp_path / "network.pkl", golden_states())
    import_networks(path, tmp_path / "imported")
    config = initial_config(str(tmp_path / "imported"), None)
    assert config.schedule.start_resolution == 16
    state = begin(with_init(config, tmp_path / "imported"), one_device)
    for network, prefix, factor in (
        (state.ema_generator, "G", 1),
        (state.generator, "G", 0.5),
        (state.discriminator, "D", 1),
    ):
        golden = golden_variables("networks_16_rgb.npz", prefix)
        kind = "discriminator" if prefix == "D" else "generator"
        for path, array in values(network).items():
            name = original_name(kind, path, 16)
            expected = factor * from_original(name, golden[name])
            np.testing.assert_array_equal(array, expected, err_msg=path)


def test_a_larger_network_begins_with_the_lower_layers(trained, one_device):
    directory, config, before = trained
    config = with_init(config, directory, resolution=16)
    state = begin(config, one_device)
    fresh = values(TrainState(config, one_device).generator)
    expected = values(before.generator)
    for path, array in values(state.generator).items():
        other = fresh if "16x16" in path else expected
        np.testing.assert_array_equal(array, other[path], err_msg=path)


def test_a_smaller_network_leaves_the_upper_layers_out(trained, one_device):
    directory, config, before = trained
    state = begin(with_init(config, directory, resolution=4), one_device)
    expected = values(before.discriminator)
    for path, array in values(state.discriminator).items():
        np.testing.assert_array_equal(array, expected[path], err_msg=path)


@pytest.mark.parametrize(
    ("resolution", "start"), [(None, 8), (8, 8), (4, 4), (16, 8)], ids=lambda v: str(v)
)
def test_flags_that_are_not_given_come_from_the_networks(trained, resolution, start):
    directory, _, _ = trained
    base = initial_config(str(directory), resolution)
    assert (base.network.fmap_base, base.network.fmap_max) == (32, 8)
    assert base.schedule.start_resolution == start
    assert base.schedule.total_kimg == TrainConfig().schedule.total_kimg
    assert base.run == TrainConfig().run


def test_without_labels_the_loss_has_no_weights_of_labels(trained):
    directory, config, _ = trained
    weighted = dataclasses.replace(config, loss=LossConfig(loss="rpgan", label_weight=2.0))
    (directory / "config.flags").write_text(to_flagfile(weighted))
    assert initial_config(str(directory), None).loss == weighted.loss
    assert initial_config(str(directory), None, use_labels=False).loss == LossConfig(loss="rpgan")


def test_classes_are_matched_by_the_names_in_the_config_of_the_source(trained, one_device, capsys):
    directory, config, _ = trained
    label_size = dataclasses.replace(config.network, label_size=2)
    labelled = dataclasses.replace(config, network=label_size)
    before = TrainState(labelled, one_device)
    before.images_seen = 128
    Checkpoints(directory / "checkpoints", before, keep=3).save()
    with (directory / "config.flags").open("a") as file:
        file.write('# Class names: ["cat", "dog"]\n')
    state = TrainState(with_init(labelled, directory, label_size=3), one_device)
    new = values(state.ema_generator)["4x4_dense/kernel"]
    load_initial_networks(
        with_init(labelled, directory, label_size=3), state, ("dog", "emu", "cat")
    )
    old = values(before.ema_generator)["4x4_dense/kernel"]
    expected = [*old[:8], old[9], new[9], old[8]]
    np.testing.assert_array_equal(values(state.ema_generator)["4x4_dense/kernel"], expected)
    said = capsys.readouterr().out
    assert f"--init_from={directory}: the networks of state-000000128\n" in said
    assert "taken over for 2 classes, dog, cat; begin anew for 1 class, emu" in said


@pytest.mark.parametrize(
    ("source", "held_out", "data", "warning"),
    [
        (0, 4, "data", "trained on some of the images that this run holds out"),
        (4, 8, "data", "because its --validation_images is 4, and this run's 8"),
        (4, 0, "data", "this run trains on images that the networks' run held out"),
        (4, 4, "data", None),
        (0, 0, "data", None),
        (0, 4, "others", None),
    ],
)
def test_images_that_only_one_of_two_runs_holds_out_are_told(
    trained, one_device, caplog, source, held_out, data, warning
):
    directory, config, _ = trained

    def with_data(data_dir, count):
        images = dataclasses.replace(config.data, data_dir=data_dir, validation_images=count)
        return dataclasses.replace(config, data=images)

    (directory / "config.flags").write_text(to_flagfile(with_data("data", source)))
    begin(with_init(with_data(data, held_out), directory), one_device)
    assert warning in caplog.text if warning else "validation_images" not in caplog.text


@pytest.mark.parametrize("note", ["[1, 2]", "[", "{}", "[" * 10**5], ids=lambda note: note[:9])
def test_damaged_class_names_are_unknown(trained, one_device, capsys, note):
    directory, config, _ = trained
    with (directory / "config.flags").open("a") as file:
        file.write(f"# Class names: {note}\n")
    state = TrainState(with_init(config, directory, label_size=2), one_device)
    load_initial_networks(with_init(config, directory, label_size=2), state, ("a", "b"))
    assert "(the source has no labels)" in capsys.readouterr().out


def test_the_moving_average_and_the_generator_share_new_weights(trained, one_device):
    directory, config, _ = trained
    state = begin(with_init(config, directory, label_size=2), one_device)
    raw, average = values(state.generator), values(state.ema_generator)
    np.testing.assert_array_equal(raw["4x4_dense/kernel"][8:], average["4x4_dense/kernel"][8:])
    assert not np.array_equal(raw["4x4_dense/kernel"][:8], average["4x4_dense/kernel"][:8])


def test_the_first_stage_is_that_of_the_newest_checkpoint(trained, one_device):
    directory, _, _ = trained
    for path in (directory / "checkpoints").glob("state-000000096*"):
        path.unlink()
    assert initial_config(str(directory), None).schedule.start_resolution == 4


def test_checkpoints_after_a_rollback_are_newer(trained):
    directory, _, _ = trained
    for path in (directory / "checkpoints").glob("state-000000000.*"):
        path.rename(path.with_name(path.name.replace("state-", "state-r1-")))
    assert initial_config(str(directory), None).schedule.start_resolution == 4


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"fmap_max": 4}, r"--fmap_max=4 \(was 8\)"),
        ({"latent_size": 5}, r"--latent_size=5 \(was 8\)"),
        ({"fused_scale": False}, r"--fused_scale=false \(was true\)"),
        ({"channels": 1}, r"for 3 channel\(s\). Received: data of 1 channel"),
    ],
)
def test_other_networks_are_refused_before_the_run_is_made(trained, tmp_path, network, message):
    directory, config, _ = trained
    config = with_init(config, directory, **network)
    with pytest.raises(UserError, match=f"^--init_from={directory}: .*{message}"):
        check_initial_networks(config, RunDirectory(tmp_path / "new"), None)


def test_options_without_weights_may_differ(trained, tmp_path):
    directory, config, _ = trained
    config = with_init(config, directory, stddev_group_size=8, pixel_norm_epsilon=1e-4)
    check_initial_networks(config, RunDirectory(tmp_path / "new"), None)


def test_networks_with_noise_keep_their_loss(trained, tmp_path):
    directory, config, _ = trained
    noisy = dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, discriminator_noise=0.2),
        loss=LossConfig(loss="lsgan"),
    )
    (directory / "config.flags").write_text(to_flagfile(noisy))
    base = initial_config(str(directory), None)
    assert (base.network.discriminator_noise, base.loss.loss) == (0.2, "lsgan")
    check_initial_networks(with_init(noisy, directory), RunDirectory(tmp_path / "new"), None)


def test_networks_with_one_convolution_keep_their_resolution(trained, tmp_path):
    directory, config, _ = trained
    small = dataclasses.replace(config.network, convs_per_resolution=1)
    (directory / "config.flags").write_text(to_flagfile(dataclasses.replace(config, network=small)))
    larger = with_init(config, directory, convs_per_resolution=1, resolution=16)
    with pytest.raises(UserError, match="at another resolution than theirs, 8, .* Received: .*16"):
        check_initial_networks(larger, RunDirectory(tmp_path / "new"), None)


def test_a_latent_size_equal_to_the_default_is_no_difference(trained, tmp_path):
    directory, config, _ = trained
    config = with_init(config, directory, latent_size=8)
    check_initial_networks(config, RunDirectory(tmp_path / "new"), None)


def test_paths_without_a_readable_run_are_refused(trained, tmp_path, caplog):
    directory, config, _ = trained

    def refused(path):
        with pytest.raises(UserError) as caught:
            check_initial_networks(with_init(config, path), RunDirectory(tmp_path / "new"), None)
        return str(caught.value)

    assert refused(tmp_path / "missing").endswith("missing, no such directory")
    assert "or one of pgan-import" in refused(directory / "config.flags")
    assert "no run of pgan-train, nor networks" in refused(directory / "checkpoints")
    data = next((directory / "checkpoints").glob("state-000000096.data*"))
    data.write_bytes(data.read_bytes()[:100])
    check_initial_networks(with_init(config, directory), RunDirectory(tmp_path / "new"), None)
    assert (
        "state-000000096 can't be read: " in caplog.text and "trying the one before" in caplog.text
    )
    for index in (directory / "checkpoints").glob("*.index"):
        index.write_bytes(b"")
    assert "can't be read: " in refused(directory)
    shutil.rmtree(directory / "checkpoints")
    assert "no checkpoint in it" in refused(directory)


def test_a_checkpoint_without_networks_is_refused(trained, tmp_path):
    directory, config, _ = trained
    checkpoint = tf.train.Checkpoint(variables={"x": tf.Variable(1.0)})
    checkpoint.write(str(directory / "checkpoints" / "state-000000200"))
    with pytest.raises(UserError, match="no networks in .*state-000000200"):
        check_initial_networks(with_init(config, directory), RunDirectory(tmp_path / "new"), None)


def test_a_continued_run_does_not_read_its_initial_networks(trained, tmp_path):
    directory, config, _ = trained
    config = with_init(config, tmp_path / "missing")
    check_initial_networks(config, RunDirectory(directory), None)
