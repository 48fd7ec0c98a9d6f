import os

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.run_directory import list_checkpoints
from pgan_tf.step.train_state import TrainState
from tests.helpers.rewriting import OBJECT_GRAPH, rewrite_checkpoint
from tests.helpers.tiny import tiny_config
from tfrecords_tools.errors import UserError

FULL_DISK = "{{function_node a/b}} /x/part-0; No space left on device [Op:SaveV2]"


@pytest.fixture
def state(one_device):
    return TrainState(tiny_config(), one_device)


def scramble(state, seed):
    rng = np.random.default_rng(seed)
    for variable in state.variables().values():
        variable.assign(rng.integers(1, 1000, variable.shape).astype(variable.dtype.as_numpy_dtype))
    state.load_counters()


def values(state):
    state.store_counters()
    return {name: variable.numpy() for name, variable in state.variables().items()}


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def test_every_weight_moment_and_counter_has_a_name_of_its_own(state):
    names = state.variables()
    weights = sum(
        len(n.variables) for n in (state.generator, state.discriminator, state.ema_generator)
    )
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    assert len(names) == weights + sum(len(o.variables) for o in optimizers) + 3
    for name in ("generator/8x8_conv0/kernel", "generator_ema/to_rgb_4x4/bias", "images_seen"):
        assert name in names


def test_everything_is_restored(state, tmp_path):
    scramble(state, 1)
    saved = values(state)
    Checkpoints(tmp_path, state, keep=3).save()
    scramble(state, 2)
    assert Checkpoints(tmp_path, state, keep=3).restore()
    assert_equal(values(state), saved)


def test_a_new_directory_has_nothing_to_restore(state, tmp_path):
    assert not Checkpoints(tmp_path / "new", state, keep=3).restore()


def save_at(checkpoints, state, images_seen):
    scramble(state, images_seen)
    state.images_seen, state.rollbacks = images_seen, 0
    checkpoints.save()
    return values(state)


def test_only_the_newest_are_kept(state, tmp_path):
    checkpoints = Checkpoints(tmp_path, state, keep=2)
    for images_seen in (100, 200, 300):
        save_at(checkpoints, state, images_seen)
    assert sorted(p.name for p in tmp_path.glob("*.index")) == [
        "state-000000200.index",
        "state-000000300.index",
    ]


def test_names_sort_by_age(state, tmp_path):
    checkpoints = Checkpoints(tmp_path, state, keep=9)
    for images_seen in (0, 96, 2000, 10000, 12_000_000):
        save_at(checkpoints, state, images_seen)
    by_name = sorted(path.stem for path in tmp_path.glob("*.index"))
    assert by_name == [c.name for c in reversed(list_checkpoints(tmp_path))]


def test_earlier_names_are_read_and_deleted_in_turn(state, tmp_path):
    older = save_at(Checkpoints(tmp_path, state, keep=2), state, 100)
    for path in tmp_path.iterdir():
        path.rename(path.with_name(path.name.replace("000000100", "100")))
    scramble(state, 5)
    checkpoints = Checkpoints(tmp_path, state, keep=2)
    assert checkpoints.restore()
    assert_equal(values(state), older)
    save_at(checkpoints, state, 200)
    assert len(list(tmp_path.glob("state-100.*"))) == 2
    save_at(checkpoints, state, 300)
    assert not list(tmp_path.glob("state-100.*"))


@pytest.mark.parametrize(
    "damage",
    [
        *("truncated data", "no index", "garbage index", "no data", "a pipe"),
        *("garbage object graph", "other counters"),
    ],
)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(state, tmp_path, damage, caplog):
    checkpoints = Checkpoints(tmp_path, state, keep=3)
    older = save_at(checkpoints, state, 100)
    save_at(checkpoints, state, 200)
    data, index = (
        tmp_path / "state-000000200.data-00000-of-00001",
        tmp_path / "state-000000200.index",
    )
    if damage == "truncated data":
        data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    elif damage == "no data":
        data.unlink()
    elif damage == "no index":
        index.unlink()
    elif damage == "a pipe":
        data.unlink()
        os.mkfifo(data)
    elif damage == "garbage object graph":
        path = tmp_path / "state-000000200"
        rewrite_checkpoint(path, path, {OBJECT_GRAPH: b"\xff" * 99})
    elif damage == "other counters":
        for path in (data, index):
            path.rename(path.with_name(path.name.replace("000000200", "4611686018427387904")))
    else:
        index.write_bytes(b"garbage" * 100)
    scramble(state, 5)
    assert Checkpoints(tmp_path, state, keep=3).restore()
    assert_equal(values(state), older)


def test_damaged_checkpoints_are_put_aside_and_not_counted_among_those_that_are_kept(
    state, tmp_path
):
    save_at(Checkpoints(tmp_path, state, keep=3), state, 100)
    for images_seen in (200, 300):
        save_at(Checkpoints(tmp_path, state, keep=3), state, images_seen)
        data = tmp_path / f"state-{images_seen:09d}.data-00000-of-00001"
        data.write_bytes(data.read_bytes()[:50])
    checkpoints = Checkpoints(tmp_path, state, keep=1)
    assert checkpoints.restore()
    assert state.images_seen == 100
    later = save_at(checkpoints, state, 150)
    scramble(state, 5)
    assert Checkpoints(tmp_path, state, keep=1).restore()
    assert_equal(values(state), later)
    assert sorted(p.name for p in tmp_path.glob("*.index")) == ["state-000000150.index"]
    assert (tmp_path / "state-000000200.index.unreadable").exists()


def test_a_checkpoint_made_while_updates_are_skipped_is_continued_from_but_not_gone_back_to(
    state, tmp_path
):
    checkpoints = Checkpoints(tmp_path, state, keep=1)
    healthy = save_at(checkpoints, state, 100)
    for images_seen in (200, 300):
        scramble(state, images_seen)
        state.images_seen, state.rollbacks = images_seen, 0
        checkpoints.save(healthy=False)
    names = sorted(p.stem for p in tmp_path.glob("*.index"))
    assert names == ["state-000000100", "state-000000300-skipping"]
    newest = values(state)
    scramble(state, 5)
    again = Checkpoints(tmp_path, state, keep=1)
    assert again.restore()
    assert_equal(values(state), newest)
    assert again.restore(healthy=True)
    assert_equal(values(state), healthy)


def test_a_checkpoint_saved_again_replaces_a_damaged_one(state, tmp_path):
    saved = save_at(Checkpoints(tmp_path, state, keep=3), state, 100)
    data = tmp_path / "state-000000100.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:50])
    Checkpoints(tmp_path, state, keep=3).save()
    scramble(state, 5)
    assert Checkpoints(tmp_path, state, keep=3).restore()
    assert_equal(values(state), saved)


def test_a_state_that_is_saved_already_is_not_written_again(state, tmp_path):
    checkpoints = Checkpoints(tmp_path, state, keep=3)
    save_at(checkpoints, state, 100)
    before = (tmp_path / "state-000000100.index").stat().st_mtime_ns
    checkpoints.save()
    assert (tmp_path / "state-000000100.index").stat().st_mtime_ns == before


def test_checkpoints_of_which_none_can_be_read_are_an_error(state, tmp_path):
    save_at(Checkpoints(tmp_path, state, keep=3), state, 100)
    for path in tmp_path.glob("*.data*"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="none of its 1 checkpoints can be read"):
        Checkpoints(tmp_path, state, keep=3).restore()


def test_a_failed_save_is_reported_and_leaves_earlier_checkpoints(state, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, state, keep=3)
    older = save_at(checkpoints, state, 100)
    monkeypatch.setattr(
        "tensorflow.train.Checkpoint.write",
        _raise(tf.errors.ResourceExhaustedError(None, None, FULL_DISK)),
    )
    with pytest.raises(
        UserError,
        match=r"at 200 images can't be written.* stay: /x/part-0; No space left on device$",
    ):
        save_at(checkpoints, state, 200)
    monkeypatch.undo()
    assert Checkpoints(tmp_path, state, keep=3).restore()
    assert_equal(values(state), older)


def _raise(error):
    def function(*args, **kwargs):
        raise error

    return function


def test_entering_a_phase_clears_moments_and_nothing_else(state):
    scramble(state, 1)
    before = values(state)
    state.enter_phase(2, reset_optimizers=True)
    for name, value in values(state).items():
        if "adam" in name:
            assert not value.any(), name
        elif name != "phase_index":
            np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert state.phase_index == 2


def test_optimizers_can_be_left_as_they_are(state):
    scramble(state, 1)
    before = values(state)
    state.enter_phase(2, reset_optimizers=False)
    assert_equal(values(state), {**before, "phase_index": np.int64(2)})
