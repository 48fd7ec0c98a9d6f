"""Faults: training goes back to the last healthy checkpoint, once, or ends with a clear error."""

import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.cli import train as command
from pgan_tf.distribution.cluster import ALONE, Cluster
from pgan_tf.training import loop
from pgan_tf.training.recovery import DivergedError, LostWorkerError, explain_lost_workers
from tests.helpers.tiny import each_step, step_result, tiny_config
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow

# A seed is below 2^31; after going back the noise's is above.
OWN_NOISE = 2**31


def poison(monkeypatch, *, when):
    """Make chosen steps end as with gradients that are not finite: nothing is updated.

    Returns:
      (images_seen, noise_seed) of every step, appended as steps are taken.
    """
    make, steps = loop.TrainStep, []

    def make_poisoned(*args, **kwargs):
        train_step = make(*args, **kwargs)

        def poisoned(inputs):
            given = [(int(step.images_seen), int(step.noise_seed)) for step in each_step(inputs)]
            steps.extend(given)
            # A call of several is good or bad as a whole.
            if not when(*given[0]):
                return train_step(inputs)
            names = ("loss/discriminator", "loss/generator")
            skipped = ("updates/discriminator_skipped", "updates/generator_skipped")
            return step_result(
                {
                    **{name: np.full(len(given), np.nan) for name in names},
                    **{name: np.ones(len(given)) for name in skipped},
                }
            )

        poisoned.prepare, poisoned.compile_ahead = train_step.prepare, train_step.compile_ahead
        return poisoned

    monkeypatch.setattr(loop, "TrainStep", make_poisoned)
    return steps


def config_for(pyramid_dir, tmp_path, **run):
    run = {"max_skipped_updates": 3, "checkpoint_kimg": 0.016, **run}
    return tiny_config(pyramid_dir, tmp_path / "run", **run)


def names_of_checkpoints(tmp_path):
    return sorted(path.stem for path in (tmp_path / "run" / "checkpoints").glob("*.index"))


@pytest.mark.parametrize("steps_per_call", [1, 4])
def test_a_run_goes_back_and_continues_with_other_noise(
    pyramid_dir, tmp_path, monkeypatch, caplog, steps_per_call
):
    # From 48 images on, in the fade, every step is bad as long as the noise is the first.
    steps = poison(monkeypatch, when=lambda seen, noise: seen >= 48 and noise < OWN_NOISE)
    config = config_for(pyramid_dir, tmp_path, steps_per_call=steps_per_call)
    result = loop.train(config)
    assert result.images_seen == 96
    assert "3 updates in a row were not finite" in caplog.text
    assert "going back to the checkpoint at 0.048 kimg" in caplog.text
    seen = [seen for seen, _ in steps]
    # Three bad steps, and back. Of calls the same: checkpoints end them after two steps, and the
    # third, the first of a phase, is alone.
    assert seen == [*range(0, 72, 8), *range(48, 96, 8)]
    assert {noise for seen, noise in steps[9:]} == {1 + OWN_NOISE}
    assert names_of_checkpoints(tmp_path) == [
        "state-r1-000000064",
        "state-r1-000000080",
        "state-r1-000000096",
    ]
    # What was reported of the steps that were taken back is gone, and what follows is reported.
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["images_seen"] for line in lines] == [16, 32, 48, 64, 80, 96]


def test_a_run_ahead_of_its_devices_goes_back_when_it_looks_at_the_results(
    pyramid_dir, tmp_path, monkeypatch, as_on_gpus
):
    steps = poison(monkeypatch, when=lambda seen, noise: seen >= 40 and noise < OWN_NOISE)
    config = config_for(pyramid_dir, tmp_path, checkpoint_kimg=0.032)
    assert loop.train(config).images_seen == 96
    # Three bad steps in the fade, at whose end the run waits for all of them.
    assert [seen for seen, _ in steps] == [*range(0, 64, 8), *range(32, 96, 8)]


def test_a_run_that_has_gone_back_stays_with_its_other_noise_when_continued(
    pyramid_dir, tmp_path, monkeypatch
):
    poison(monkeypatch, when=lambda seen, noise: seen >= 48 and noise < OWN_NOISE)
    config = tiny_config(
        pyramid_dir, tmp_path / "run", max_skipped_updates=3, checkpoint_kimg=0.016
    )
    loop.train(config)
    monkeypatch.undo()
    steps = poison(monkeypatch, when=lambda seen, noise: False)
    longer = tiny_config(
        pyramid_dir, tmp_path / "run", max_skipped_updates=3, checkpoint_kimg=0.016
    )
    object.__setattr__(longer.schedule, "total_kimg", 0.112)
    assert loop.train(longer).images_seen == 112
    assert steps == [(96, 1 + OWN_NOISE), (104, 1 + OWN_NOISE)]


def test_a_signal_while_updates_are_skipped_leaves_the_good_checkpoint_to_go_back_to(
    pyramid_dir, tmp_path, monkeypatch
):
    def bad(seen, noise):
        if seen == 56 and noise < OWN_NOISE:
            os.kill(os.getpid(), signal.SIGTERM)  # at the second step that is skipped
        return seen >= 48 and noise < OWN_NOISE

    steps = poison(monkeypatch, when=bad)
    config = config_for(pyramid_dir, tmp_path, keep_checkpoints=1)
    assert loop.train(config).interrupted_by == signal.SIGTERM
    assert names_of_checkpoints(tmp_path) == ["state-000000048", "state-000000064-skipping"]
    steps.clear()
    assert loop.train(config).images_seen == 96
    assert [seen for seen, _ in steps] == [64, 72, 80, *range(48, 96, 8)]


def test_a_run_that_fails_again_stops_with_an_explanation(pyramid_dir, tmp_path, monkeypatch):
    steps = poison(monkeypatch, when=lambda seen, noise: seen >= 48)
    config = config_for(pyramid_dir, tmp_path, checkpoint_kimg=1)
    with pytest.raises(DivergedError, match="3 updates in a row were not finite at 0.072 kimg, 8x8 "
                       "stabilize, although the run has gone back") as caught:  # fmt: skip
        loop.train(config)
    assert caught.value.exit_code == 3
    assert len(steps) == 9 + 5
    assert names_of_checkpoints(tmp_path) == [
        "state-000000000",
        "state-000000032",
        "state-r1-000000032",
    ]


@pytest.mark.parametrize("max_skipped", [0, 50])
def test_a_run_of_skipped_updates_does_not_end_as_done(
    pyramid_dir, tmp_path, monkeypatch, max_skipped
):
    poison(monkeypatch, when=lambda seen, noise: True)
    config = config_for(pyramid_dir, tmp_path, max_skipped_updates=max_skipped)
    for _ in range(2):  # started again, it neither
        with pytest.raises(DivergedError, match="the last 12 updates, up to the end at 0.096 kimg"):
            loop.train(config)
    assert names_of_checkpoints(tmp_path) == ["state-000000000"]


def test_an_interruption_does_not_turn_a_run_of_skipped_updates_into_one_that_is_done(
    pyramid_dir, tmp_path, monkeypatch
):
    def bad(seen, noise):
        if seen == 64:
            os.kill(os.getpid(), signal.SIGTERM)
        return True

    poison(monkeypatch, when=bad)
    config = config_for(pyramid_dir, tmp_path, max_skipped_updates=50)
    assert loop.train(config).interrupted_by == signal.SIGTERM
    with pytest.raises(DivergedError, match="the last 3 updates"):
        loop.train(config)


def test_some_skipped_updates_at_the_end_do_not_spoil_a_run(pyramid_dir, tmp_path, monkeypatch):
    poison(monkeypatch, when=lambda seen, noise: seen >= 88)
    config = config_for(pyramid_dir, tmp_path)
    assert loop.train(config).images_seen == 96


@pytest.mark.parametrize(("every", "warned"), [(4, True), (2, False)])
def test_a_run_of_mostly_skipped_updates_is_warned_of(
    pyramid_dir, tmp_path, monkeypatch, caplog, every, warned
):
    # Of 12 updates, every fourth is made, or every second; the last one is.
    poison(monkeypatch, when=lambda seen, noise: (seen // 8 + 1) % every != 0)
    assert loop.train(config_for(pyramid_dir, tmp_path, max_skipped_updates=0)).images_seen == 96
    assert ("9 of 12 updates since this start were not finite" in caplog.text) == warned


def test_the_command_explains_divergence_and_exits_with_3(pyramid_dir, tmp_path, capsys):
    # So high a learning rate that weights overflow by themselves, and nothing can help.
    flags = ["--fmap_base=32", "--fmap_max=8", "--batch_size=8", "--total_kimg=1",
             "--learning_rate=1e30", "--max_skipped_updates=4"]  # fmt: skip
    code = command.main([f"--data_dir={pyramid_dir}", f"--run_dir={tmp_path / 'run'}", *flags])
    assert code == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pgan-train: error: 4 updates in a row were not finite at ")
    assert "a new run with a lower --learning_rate" in error


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        tf.errors.NotFoundError(None, None, "No algorithm worked!"),
    ],
)
def test_running_out_of_memory_names_the_flags_that_help(pyramid_dir, tmp_path, monkeypatch, error):
    def make_train_step(*args, **kwargs):
        def fail(inputs):
            raise error

        return fail

    monkeypatch.setattr(loop, "TrainStep", make_train_step)
    with pytest.raises(UserError) as caught:
        loop.train(config_for(pyramid_dir, tmp_path))
    said = str(caught.value)
    assert "out of memory in 4x4 stabilize with --batch_size 8" in said
    # Eight images are two groups of minibatch stddev.
    assert "To train the same in less memory, continue with --microbatches=2. " in said
    assert f"--init_from={tmp_path / 'run'} --batch_size_by_resolution=4:... TensorF" in said
    assert said.endswith(f"TensorFlow says: {error.message}")
    assert names_of_checkpoints(tmp_path) == [
        "state-000000000"
    ]  # nothing is saved in the middle of a step


def test_tensorflows_errors_about_lost_peers_are_explained_to_workers_only():
    reason = "Detected at node while/CollectiveReduceV2 defined at\nConnection reset by peer"
    error = tf.errors.UnavailableError(None, None, reason)
    said = pytest.raises(
        LostWorkerError,
        match=r"worker 1 of 2: another worker has gone.* says: Connection reset by peer$",
    )
    with said as caught, explain_lost_workers(Cluster(1, 2)):
        raise error
    assert caught.value.exit_code == 75
    with pytest.raises(tf.errors.UnavailableError), explain_lost_workers(ALONE):
        raise error
