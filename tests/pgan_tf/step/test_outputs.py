import dataclasses

import pytest
import tensorflow as tf

from pgan_tf.config import LossConfig, StepKind
from pgan_tf.step.outputs import reduce_outputs, scalar_names
from tests.helpers.tiny import tiny_config

DISCRIMINATOR = [
    "scores/real",
    "scores/fake",
    "scores/real_sign",
    "loss/gradient_norm",
    "loss/gradient_penalty",
    "loss/gradient_norm_fakes",
    "loss/gradient_penalty_fakes",
    "loss/drift",
    "loss/label_real",
    "loss/label_fake",
    "loss/discriminator",
    "updates/discriminator_skipped",
    "updates/discriminator_gradient_norm",
]
GENERATOR = [
    "loss/label_generator",
    "loss/generator",
    "updates/generator_skipped",
    "updates/generator_gradient_norm",
]


@pytest.mark.parametrize(
    ("loss", "label_size", "missing"),
    [
        ({}, 2, ("_fakes", "sign")),
        ({}, 0, ("label", "_fakes", "sign")),
        ({"loss": "logistic"}, 2, ("drift", "_fakes")),
        ({"loss": "logistic", "r2_gamma": 1.0}, 2, ("drift",)),
        ({"loss": "rpgan"}, 2, ("drift",)),
        ({"loss": "lsgan"}, 2, ("drift", "loss/gradient", "sign")),
        (
            {"drift_weight": 0.0, "gradient_penalty_weight": 0.0},
            2,
            ("drift", "loss/gradient", "sign"),
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("trains_generator", [True, False])
def test_scalars_are_those_of_the_configured_terms(loss, label_size, missing, trains_generator):
    config = tiny_config(label_size=label_size)
    config = dataclasses.replace(config, loss=LossConfig(**loss))
    names = DISCRIMINATOR + (GENERATOR if trains_generator else [])
    expected = [name for name in names if not any(part in name for part in missing)]
    kind = StepKind(trains_generator=trains_generator)
    assert list(scalar_names(config, kind)) == expected
    expected = [name for name in expected if not name.startswith("loss/gradient")]
    assert list(scalar_names(config, kind._replace(penalizes=False))) == expected


def test_outputs_are_scalars_in_the_order_of_their_names_then_stop_flags():
    scalars = {"b": tf.constant(2.0), "a": tf.constant(1.0)}
    outputs = reduce_outputs(("a", "b"), scalars, tf.constant([0.0, 1.0]))
    assert outputs.numpy().tolist() == [1.0, 2.0, 0.0, 1.0]


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c")])
def test_scalars_must_be_those_that_are_named(names):
    scalars = {"a": tf.constant(1.0), "b": tf.constant(2.0)}
    with pytest.raises(ValueError, match=r"Received: \['a', 'b'\]"):
        reduce_outputs(names, scalars, tf.zeros([0]))
