import dataclasses
import json
import types

import pytest
import tensorflow as tf

from pgan_tf.config import EvalConfig
from pgan_tf.evaluation.catalog import Compared
from pgan_tf.evaluation.image_sets import digest_of
from pgan_tf.evaluation.in_training import TrainingEvaluation, make_evaluation
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.runs.saved_generator import (
    GeneratorDescription,
    as_keras_model,
    describe_generator,
    save_generator,
)
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path):
    data = write_pyramid(tmp_path / "data", resolution=16, channels=1)
    config = tiny_config(data, tmp_path / "run", channels=1)
    network = dataclasses.replace(config.network, resolution=16)
    evaluation = EvalConfig(eval_metrics="ms_ssim, swd", best_metric="swd")
    return dataclasses.replace(config, network=network, evaluation=evaluation)


def evaluation(config, strategy, **changes):
    config = dataclasses.replace(
        config, evaluation=dataclasses.replace(config.evaluation, **changes)
    )
    run = RunDirectory(config.run.run_dir)
    run.networks.mkdir(parents=True, exist_ok=True)
    return TrainingEvaluation(config, open_pyramid(config.data.data_dir), run, strategy), run


def saver(config, run):
    model = as_keras_model(Generator(config.network, seed=1), resolution=4, alpha=None)
    return lambda description: save_generator(
        run.best_generator, model, GeneratorDescription(**description)
    )


def test_a_generator_is_evaluated_at_any_stage(config, one_device):
    watched, _ = evaluation(config, one_device)
    generator = Generator(config.network, seed=1)
    small, spread = watched.evaluate(generator, resolution=4, alpha=None)
    fading, _ = watched.evaluate(generator, resolution=16, alpha=0.5)
    assert set(spread) == set(small)
    assert set(small) == {"ms_ssim", "ms_ssim/gap", "swd/16", "swd/average"}
    assert small["swd/16"] > 0 and fading["swd/16"] != small["swd/16"]


def test_memory_that_does_not_suffice_beside_training_is_explained(config, one_device, monkeypatch):
    def exhaust(fakes):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    watched, _ = evaluation(config, one_device)
    monkeypatch.setattr(watched._evaluator, "evaluate", exhaust)
    with pytest.raises(UserError, match="out of memory: --eval_metrics needs more than training"):
        watched.evaluate(Generator(config.network, seed=1), resolution=4, alpha=None)


def test_replicas_give_the_same_values(config, one_device, two_replicas):
    found = []
    for strategy in (one_device, two_replicas):
        with strategy.scope():
            generator = Generator(config.network, seed=1)
        watched, _ = evaluation(config, strategy)
        found.append(watched.evaluate(generator, resolution=16, alpha=None).values)
    assert found[0] == pytest.approx(found[1], rel=1e-2)


def test_the_best_is_kept_and_the_first_of_equals_stays(config, one_device):
    watched, _ = evaluation(config, one_device)
    offered = []
    for value in (5.0, 7.0, 5.0, 3.0, float("nan")):
        found = Compared({"swd/average": value}, {})
        offered.append(watched.offer(found, lambda description: None))
    assert offered == [True, False, False, True, False]


def swd(value, spread):
    return Compared({"swd/average": value}, {"swd/average": spread})


def test_a_best_is_replaced_by_one_that_is_better_by_more_than_the_spread_of_both(
    config, one_device
):
    watched, run = evaluation(config, one_device)
    save = saver(config, run)
    assert watched.offer(swd(5.0, 0.3), save)
    assert not watched.offer(swd(4.51, 0.4), save)
    again, _ = evaluation(config, one_device)
    assert not again.offer(swd(4.51, 0.4), save)
    assert again.offer(swd(4.49, 0.4), save)
    # That of an earlier version has no spread.
    assert not again.offer(swd(4.0, 0.3), save)
    model = as_keras_model(Generator(config.network, seed=1), resolution=4, alpha=None)
    best = {
        k: v for k, v in describe_generator(run.best_generator)["best"].items() if k != "spread"
    }
    save_generator(run.best_generator, model, GeneratorDescription(best=best))
    of_earlier, _ = evaluation(config, one_device)
    assert not of_earlier.offer(swd(4.2, 0.4), save)
    assert of_earlier.offer(swd(4.0, 0.4), save)


def test_a_continued_run_remembers_its_best(config, one_device):
    watched, run = evaluation(config, one_device)
    assert watched.offer(Compared({"swd/average": 5.0}, {}), saver(config, run))
    again, _ = evaluation(config, one_device)
    assert not again.offer(Compared({"swd/average": 6.0}, {}), saver(config, run))
    assert again.offer(Compared({"swd/average": 4.0}, {}), saver(config, run))


def test_a_best_by_another_metric_is_replaced(config, one_device, caplog):
    watched, run = evaluation(config, one_device)
    assert watched.offer(Compared({"swd/average": 5.0}, {}), saver(config, run))
    by_similarity, _ = evaluation(config, one_device, best_metric="ms_ssim")
    assert "is the best by swd/average of 24 images, and its value can't" in caplog.text
    assert by_similarity.offer(Compared({"ms_ssim/gap": 100.0}, {}), saver(config, run))
    of_fewer, _ = evaluation(config, one_device, best_metric="ms_ssim", eval_num_images=8)
    assert of_fewer.offer(Compared({"ms_ssim/gap": 200.0}, {}), saver(config, run))


def test_a_best_by_other_features_is_replaced(config, one_device, tmp_path, monkeypatch, caplog):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("few_features", "more_features"):
        step = 97 if name == "few_features" else 31
        (tmp_path / f"{name}.py").write_text(
            f"def extract(images):\n    return images.reshape(len(images), -1)[:, ::{step}]\n"
        )
    by_features = {"eval_metrics": "fid", "best_metric": "fid"}
    watched, run = evaluation(
        config, one_device, **by_features, eval_features="few_features:extract"
    )
    assert watched.offer(Compared({"fid": 5.0}, {}), saver(config, run))
    again, _ = evaluation(config, one_device, **by_features, eval_features="few_features:extract")
    assert not again.offer(Compared({"fid": 6.0}, {}), saver(config, run))
    other, _ = evaluation(config, one_device, **by_features, eval_features="more_features:extract")
    assert "which differ in extractor; the next one" in caplog.text
    assert other.offer(Compared({"fid": 900.0}, {}), saver(config, run))


def test_a_best_against_other_data_or_mirrored_ones_is_replaced(config, one_device, tmp_path):
    watched, run = evaluation(config, one_device)
    assert watched.offer(Compared({"swd/average": 5.0}, {}), saver(config, run))
    data = write_pyramid(tmp_path / "other", resolution=16, channels=1, seed=7)
    changes = {"data_dir": str(data)}, {"mirror_augment": True}
    for change in changes:
        changed = dataclasses.replace(config, data=dataclasses.replace(config.data, **change))
        again, _ = evaluation(changed, one_device)
        assert again.offer(Compared({"swd/average": 6.0}, {}), lambda description: None)


def test_a_damaged_best_is_replaced(config, one_device, caplog):
    _, run = evaluation(config, one_device)
    run.best_generator.write_bytes(b"no archive")
    again, _ = evaluation(config, one_device)
    assert "the next generator evaluated replaces it" in caplog.text
    assert again.offer(Compared({"swd/average": 9.0}, {}), saver(config, run))


def test_too_many_images_are_refused_before_training(config, one_device):
    with pytest.raises(UserError, match="--eval_num_images must be at most 24.* Received: 99"):
        evaluation(config, one_device, eval_num_images=99)


def test_classes_are_asked_of_conditional_networks_alone(config, one_device):
    with pytest.raises(UserError, match="--eval_metrics=fid_by_class needs a conditional network"):
        evaluation(config, one_device, eval_metrics="fid_by_class", best_metric="")


def test_data_behind_a_url_are_refused(config, one_device):
    data = types.SimpleNamespace(is_remote=True, location="gs://bucket/data")
    with pytest.raises(UserError, match="local disk. Received: --data_dir=gs://bucket/data"):
        make_evaluation(config, data, RunDirectory(config.run.run_dir), one_device)


def test_without_metrics_there_is_nothing_to_evaluate(config, one_device):
    without = dataclasses.replace(config, evaluation=EvalConfig())
    assert make_evaluation(without, None, None, one_device) is None


def test_the_description_of_the_best_is_json(config, one_device):
    watched, _ = evaluation(config, one_device)
    said = []
    watched.offer(Compared({"swd/average": 5.0}, {"swd/average": 0.25}), said.append)
    pyramid = open_pyramid(config.data.data_dir)
    assert json.loads(json.dumps(said[0]))["best"] == {
        "figure": "swd/average",
        "value": 5.0,
        "spread": 0.25,
        "num_images": 24,
        "resolution": 16,
        "seed": 1,
        "mirror_augment": False,
        "data_digest": digest_of(pyramid, 16),
        "extractor": None,
    }
