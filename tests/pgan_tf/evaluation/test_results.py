import dataclasses
import fcntl
import json
import math
import os

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pgan_tf.evaluation.results import (
    read_stored,
    require_writable,
    result_path,
    values_of,
    write_tensorboard,
)
from tests.helpers.results import EARLIER, RESULT, SPREAD
from tfrecords_tools.errors import UserError


def test_json_holds_the_values_and_all_they_depend_on(tmp_path):
    path = RESULT.write_json(tmp_path / "new")
    assert path == tmp_path / "new" / "metrics-000150.json"
    content = json.loads(path.read_text())
    assert content["metrics"] == RESULT.values and content["floor"] == RESULT.floor
    assert (content["kimg"], content["seed"]) == (150, 0)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_values_are_read_back_under_the_same_settings_of_the_same_network_alone(tmp_path, caplog):
    path = result_path(tmp_path, RESULT.label)
    assert read_stored(path, digest="ab12", settings=RESULT.settings) == {}
    RESULT.write_json(tmp_path)
    found = read_stored(path, digest="ab12", settings=RESULT.settings)
    assert found == {
        "swd": ({"swd/16": 12.3456}, {"swd/16": 1.5}, {}, None),
        "ms_ssim": ({"ms_ssim": 0.25}, {"ms_ssim": 0.26}, {}, None),
    }
    assert read_stored(path, digest="cd34", settings=RESULT.settings) == {}
    other = {**RESULT.settings, "seed": 1}
    assert read_stored(path, digest="ab12", settings=other) == {}
    fewer = {**RESULT.settings, "num_images": {"swd": 10, "ms_ssim": 8}}
    assert list(read_stored(path, digest="ab12", settings=fewer)) == ["swd"]
    assert not caplog.text


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"format": 1, "network_digest": "ab12", "seed": 0, "num_images": {"swd": 10}}',
        '{"format": 1, "network_digest": "ab12", "num_images": 3, "metrics": {}, "floor": {}}',
        '{"format": 1, "network_digest": "ab12", "num_images": {"swd": 10}, "metrics": [],'
        ' "floor": {}}',
    ],
)
def test_a_file_that_is_damaged_is_written_anew(tmp_path, caplog, content):
    path = result_path(tmp_path, RESULT.label)
    path.write_text(content)
    assert read_stored(path, digest="ab12", settings=RESULT.settings) == {}
    assert "evaluating again" in caplog.text
    RESULT.write_json(tmp_path)
    assert len(read_stored(path, digest="ab12", settings=RESULT.settings)) == 2


def test_a_file_that_was_edited_is_not_believed(tmp_path, caplog):
    path = RESULT.write_json(tmp_path)
    path.write_text(path.read_text().replace("12.3456", "1.3456"))
    assert read_stored(path, digest="ab12", settings=RESULT.settings) == {}
    assert "damaged, or edited: its checksum is wrong" in caplog.text


def test_values_without_a_checksum_are_used_and_stay_marked(tmp_path, caplog):
    path = RESULT.write_json(tmp_path)
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps(content))
    for _ in range(2):
        assert len(read_stored(path, digest="ab12", settings=RESULT.settings)) == 2
    assert caplog.text.count("carries no checksum") == 1
    RESULT.write_json(tmp_path)  # as they were read
    assert json.loads(path.read_text())["without_checksum"] == ["swd", "ms_ssim"]
    new = {**RESULT.values, "ms_ssim": 0.5}
    dataclasses.replace(RESULT, values=new).write_json(tmp_path)
    assert json.loads(path.read_text())["without_checksum"] == ["swd"]
    other = dataclasses.replace(RESULT, settings={**RESULT.settings, "seed": 1})
    other.write_json(tmp_path)
    content = json.loads(path.read_text())
    assert "without_checksum" not in content
    assert [entry.get("without_checksum") for entry in content["others"]] == [True, None]


def test_metrics_of_several_evaluations_share_a_file(tmp_path):
    swd, similar = (
        dataclasses.replace(
            RESULT,
            values=values_of(name, RESULT.values),
            floor=values_of(name, RESULT.floor),
            settings={"seed": 0, "num_images": {name: 10}},
        )
        for name in ("swd", "ms_ssim")
    )
    swd.write_json(tmp_path)
    path = similar.write_json(tmp_path)
    content = json.loads(path.read_text())
    assert content["metrics"] == RESULT.values and content["floor"] == RESULT.floor
    assert content["num_images"] == {"ms_ssim": 10, "swd": 10} and "others" not in content
    assert len(read_stored(path, digest="ab12", settings=RESULT.settings)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"num_images": {"swd": 20, "ms_ssim": 20}},
        {"extractors": {"swd": "another", "ms_ssim": "another"}},
    ],
)
def test_values_under_other_settings_stay_beside_the_newest(tmp_path, change):
    RESULT.write_json(tmp_path)
    other = dataclasses.replace(
        RESULT,
        settings={**RESULT.settings, **change},
        values={"swd/16": 3.0, "ms_ssim": float("nan")},
    )
    for _ in range(2):
        path = other.write_json(tmp_path)
        content = json.loads(path.read_text())
        assert content["metrics"] == {"swd/16": 3.0, "ms_ssim": None}
        assert [entry["metrics"] for entry in content["others"]] == [
            {"swd/16": 12.3456},
            {"ms_ssim": 0.25},
        ]
    before = read_stored(path, digest="ab12", settings=RESULT.settings)
    assert before["swd"].values == {"swd/16": 12.3456}
    now = read_stored(path, digest="ab12", settings=other.settings)
    assert now["swd"].values == {"swd/16": 3.0} and math.isnan(now["ms_ssim"].values["ms_ssim"])
    RESULT.write_json(tmp_path)
    assert read_stored(path, digest="ab12", settings=other.settings).keys() == now.keys()


def test_values_without_a_floor_leave_the_stored_floor(tmp_path):
    RESULT.write_json(tmp_path)
    path = dataclasses.replace(RESULT, floor={}).write_json(tmp_path)
    assert json.loads(path.read_text())["floor"] == RESULT.floor


def test_the_spread_is_kept_beside_the_values_it_belongs_to(tmp_path):
    path = SPREAD.write_json(tmp_path)
    assert json.loads(path.read_text())["spread"] == SPREAD.spread
    found = read_stored(path, digest="ab12", settings=SPREAD.settings)
    assert found["swd"] == ({"swd/16": 12.3456}, {"swd/16": 1.5}, {"swd/16": 0.3}, 20)
    more = {**RESULT.settings, "bootstrap": {"swd": 20, "ms_ssim": 100}}
    assert list(read_stored(path, digest="ab12", settings=more)) == ["swd"]
    none = {**RESULT.settings, "bootstrap": {"swd": 0, "ms_ssim": 0}}
    assert len(read_stored(path, digest="ab12", settings=none)) == 2
    # Computed again without a spread, under --noreuse --bootstrap=0.
    dataclasses.replace(RESULT, settings=none).write_json(tmp_path)
    assert read_stored(path, digest="ab12", settings=SPREAD.settings) == found
    new = dataclasses.replace(RESULT, settings=none, values={**RESULT.values, "swd/16": 9.0})
    content = json.loads(new.write_json(tmp_path).read_text())
    assert content["spread"] == {"ms_ssim": 0.02} and content["bootstrap"]["swd"] == 0


def write_as_version_0_1(directory, settings):
    """A file as version 0.1 wrote it: without `spread`, `bootstrap` and `methods`."""
    path = dataclasses.replace(RESULT, settings=settings).write_json(directory)
    content = json.loads(path.read_text())
    for key in ("spread", "bootstrap", "methods", "checksum"):
        del content[key]
    path.write_text(json.dumps(content))
    return path


def test_results_of_earlier_versions_are_read_without_a_spread(tmp_path):
    extractors = {"extractors": {"swd": None, "ms_ssim": None}}
    path = write_as_version_0_1(tmp_path, {**RESULT.settings, **extractors})
    found = read_stored(path, digest="ab12", settings=SPREAD.settings)
    assert found["swd"] == ({"swd/16": 12.3456}, {"swd/16": 1.5}, {}, None)
    others = dataclasses.replace(SPREAD, settings={**SPREAD.settings, "seed": 4})
    others.write_json(tmp_path)
    assert len(read_stored(path, digest="ab12", settings=SPREAD.settings)) == 2
    # As the command writes what it has read.
    again = {**RESULT.settings, "bootstrap": {"swd": None, "ms_ssim": None}}
    dataclasses.replace(RESULT, settings=again).write_json(tmp_path)
    found = read_stored(path, digest="ab12", settings=SPREAD.settings)
    assert found["swd"].spread == {} and found["swd"].bootstrap is None


def test_results_by_another_method_are_not_taken(tmp_path):
    path = write_as_version_0_1(tmp_path, RESULT.settings)
    changed = {**RESULT.settings, "methods": {"swd": "another"}}
    assert list(read_stored(path, digest="ab12", settings=changed)) == ["ms_ssim"]
    new = dataclasses.replace(RESULT, settings=changed, values={"swd/16": 5.0, "ms_ssim": 0.25})
    content = json.loads(new.write_json(tmp_path).read_text())
    assert content["metrics"]["swd/16"] == 5.0
    assert [entry["metrics"] for entry in content["others"]] == [{"swd/16": 12.3456}]
    assert read_stored(path, digest="ab12", settings=RESULT.settings)["swd"].values != 5.0


def test_another_network_under_the_same_name_begins_a_new_file(tmp_path):
    RESULT.write_json(tmp_path)
    path = dataclasses.replace(RESULT, digest="cd34", values={"swd/16": 3.0}).write_json(tmp_path)
    assert json.loads(path.read_text())["metrics"] == {"swd/16": 3.0}


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    require_writable(tmp_path / "new" / "one")
    assert list((tmp_path / "new" / "one").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/below: results can't be written: Not a directory"):
        require_writable(tmp_path / "file" / "below")


def test_a_value_that_is_not_a_number_is_null(tmp_path):
    path = dataclasses.replace(RESULT, values={"swd/16": float("nan")}).write_json(tmp_path)
    assert json.loads(path.read_text())["metrics"] == {"swd/16": None}


def scalars(directory):
    events = EventAccumulator(str(directory)).Reload()
    tensors = {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}
    return {tag: [event.step for event in found] for tag, found in tensors.items()}


def test_tensorboard_gets_scalars_over_images_seen(tmp_path):
    write_tensorboard(tmp_path, [EARLIER, SPREAD])
    found = scalars(tmp_path)
    assert found["metrics/swd/16"] == [20000, 150000]
    assert found["metrics/spread/swd/16"] == [150000]
    assert found["metrics/floor/ms_ssim"] == [20000, 150000]


def test_values_of_dinov2_have_tags_of_their_own(tmp_path):
    digests = {"swd": None, "ms_ssim": "DINOv2 abc"}
    write_tensorboard(
        tmp_path,
        [dataclasses.replace(SPREAD, settings={**SPREAD.settings, "extractors": digests})],
    )
    assert {tag for tag in scalars(tmp_path) if "ms_ssim" in tag} == {
        "metrics/dinov2/ms_ssim",
        "metrics/dinov2/floor/ms_ssim",
        "metrics/dinov2/spread/ms_ssim",
    }
    assert "metrics/spread/swd/16" in scalars(tmp_path)


def test_tensorboard_gets_scalars_over_kimg_where_the_run_counts_kimg(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"images_seen": 20000, "step": 20}\n')
    write_tensorboard(tmp_path, [EARLIER, RESULT])
    assert scalars(tmp_path)["metrics/swd/16"] == [20, 150]


def test_curves_of_a_run_in_training_are_kept_apart_from_its_own(tmp_path):
    opened = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_EX)
    write_tensorboard(tmp_path, [RESULT])
    os.close(opened)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics"]
    assert scalars(tmp_path / "metrics")["metrics/ms_ssim"] == [150000]
