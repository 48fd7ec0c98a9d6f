import pytest

from pgan_tf.config.evaluation import EvalConfig


def test_the_best_network_is_chosen_by_best_metric_or_else_the_first_metric():
    assert EvalConfig().resolved_best_metric == ""
    assert EvalConfig(eval_metrics="fid,swd").resolved_best_metric == "fid"
    assert EvalConfig(eval_metrics="fid, swd", best_metric="swd").resolved_best_metric == "swd"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_metrics": "swd,fdi"}, "eval_metrics must be one of swd, .* Received: fdi"),
        ({"eval_metrics": "swd", "best_metric": "fid"}, "one of eval_metrics, swd. Received: fid"),
        ({"best_metric": "fid"}, "of none. Received: fid"),
        ({"best_metric": "beauty"}, "best_metric must be one of swd"),
        ({"eval_kimg": 0}, "eval_kimg must be above 0"),
        ({"eval_num_images": 0}, "eval_num_images must be at least 1"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EvalConfig(**options)
