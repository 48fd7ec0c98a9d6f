import pytest
from absl import flags as absl_flags
from hypothesis import given
from hypothesis import strategies as st

from pgan_tf.config import ScheduleConfig, TrainConfig, flags
from tfrecords_tools.errors import UserError


def parse(*arguments, base=None):
    flag_values = absl_flags.FlagValues()
    flags.define_train_flags(flag_values)
    flag_values(["pgan-train", *arguments])
    return flags.config_from_flags(flag_values, base)


def test_no_flags_are_the_defaults():
    assert parse() == TrainConfig()


def test_flags_reach_their_sections():
    config = parse(
        "--fmap_max=64", "--fade_kimg=0.2", "--nofused_scale", "--data_dir=x", "--seed=7"
    )
    assert config.network.fmap_max == 64
    assert config.schedule.fade_kimg == 0.2
    assert config.network.fused_scale is False
    assert (config.data.data_dir, config.run.seed) == ("x", 7)


def test_tables_are_read_by_resolution():
    config = parse("--batch_size_by_resolution=4:128,8:64", "--learning_rate_by_resolution=8:0.002")
    assert config.schedule.batch_size_by_resolution == {4: 128, 8: 64}
    assert config.schedule.learning_rate_at(8) == 0.002


@pytest.mark.parametrize("text", ["4", "4:", "x:3", "4:8,4:8", "4:1.5"])
def test_malformed_tables_are_refused(text):
    with pytest.raises(absl_flags.IllegalFlagValueError):
        parse(f"--batch_size_by_resolution={text}")


def test_a_resolution_is_one_number_for_rectangles_too():
    with pytest.raises(absl_flags.IllegalFlagValueError, match="expected one number, 256 for"):
        parse("--resolution=384x256")


def test_a_number_may_be_left_to_the_program():
    assert parse().run.steps_per_call == "auto"
    assert parse("--steps_per_call=4").run.steps_per_call == 4
    assert "--steps_per_call=auto\n" in flags.to_flagfile(TrainConfig())
    with pytest.raises(absl_flags.IllegalFlagValueError, match="a whole number or auto"):
        parse("--steps_per_call=some")
    with pytest.raises(UserError, match="--steps_per_call must be at least 1. Received: 0"):
        parse("--steps_per_call=0")


def test_values_out_of_range_name_their_flag():
    with pytest.raises(UserError, match="--fade_kimg must be at least 0"):
        parse("--fade_kimg=-1")


def test_flags_that_are_not_given_come_from_the_base():
    base = parse("--fmap_max=64", "--seed=7")
    config = parse("--seed=8", base=base)
    assert (config.network.fmap_max, config.run.seed) == (64, 8)


@given(
    st.dictionaries(st.sampled_from([4, 8, 16]), st.integers(1, 99).map(lambda n: 4 * n)),
    st.floats(0, 1000),
    st.booleans(),
    st.integers(0, 2**31 - 1),
)
def test_a_flagfile_repeats_the_configuration(table, fade, reset, seed):
    config = parse(
        f"--fade_kimg={fade}",
        f"--seed={seed}",
        f"--reset_optimizer={str(reset).lower()}",
        "--batch_size_by_resolution=" + ",".join(f"{k}:{v}" for k, v in table.items()),
    )
    assert flags.parse_flagfile(flags.to_flagfile(config), "config.flags") == config


def test_an_unknown_line_of_a_flagfile_is_refused_with_its_file():
    with pytest.raises(UserError, match=r"config\.flags:1: Unknown command line flag 'fmap_bas'"):
        flags.parse_flagfile("--fmap_bas=3\n", "config.flags")


def test_a_flagfile_forgets_what_is_for_one_process_only():
    config = parse("--profile=2:3", "--run_dir=here", "--histograms")
    lines = flags.to_flagfile(config).splitlines()
    assert "--histograms=true" in lines
    assert not any(line.startswith(("--profile", "--run_dir")) for line in lines)


def test_what_names_code_or_networks_is_neither_remembered_nor_taken():
    given = ["--eval_metrics=fid", "--eval_features=own:run", "--eval_inception=a.pb"]
    more = ["--eval_dinov2=preset", "--eval_digit_classifier=d.keras"]
    text = flags.to_flagfile(parse(*given, *more))
    named = ["eval_inception", "eval_features", "eval_dinov2", "eval_digit_classifier"]
    assert not any(line.startswith(f"--{name}") for line in text.splitlines() for name in named)
    assert "own:run" not in text
    assert flags.left_out(text) == named
    # As the first version wrote it, or a stranger.
    old = "\n".join([*given, "--xla_cache_dir=here", "--fmap_max=64"])
    config = flags.parse_flagfile(old, "config.flags")
    assert (config.evaluation.eval_features, config.evaluation.eval_inception) == ("", "")
    assert config.run.xla_cache_dir == "auto"
    assert config.network.fmap_max == 64
    assert flags.left_out(old) == ["eval_features", "eval_inception", "xla_cache_dir"]
    assert flags.left_out(flags.to_flagfile(parse("--fmap_max=64"))) == []


def test_only_flags_that_change_the_run_are_differences():
    old, new = parse("--seed=1", "--fmap_max=64"), parse("--seed=2", "--fmap_max=64")
    assert [str(c) for c in flags.differences(old, new)] == ["--seed=2 (was 1)"]
    assert flags.differences(old, parse("--seed=1", "--fmap_max=64", "--total_kimg=9")) == []
    table = parse("--seed=1", "--fmap_max=64", "--batch_size_by_resolution=8:4")
    assert [str(c) for c in flags.differences(old, table)] == [
        "--batch_size_by_resolution=8:4 (was )"
    ]
    assert isinstance(table.schedule, ScheduleConfig)


def test_a_value_in_a_flagfile_that_is_wrong_is_refused_with_its_line():
    with pytest.raises(UserError, match=r"config\.flags:2: --resolution must be a power of two"):
        flags.parse_flagfile("--fmap_max=64\n--resolution=100\n", "config.flags")


@pytest.mark.parametrize(
    "line", ["--flagfile=base.flags", "-flagfile=base.flags", "--flagfile\nbase.flags"]
)
def test_a_runs_own_flagfile_includes_no_other(tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.flags").write_text("secret\n")
    with pytest.raises(UserError, match=r"config\.flags:2: must hold the run's flags itself\. Rec"):
        flags.parse_flagfile(f"--fmap_max=64\n{line}\n", "config.flags")
