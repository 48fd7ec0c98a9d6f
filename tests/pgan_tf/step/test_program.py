"""Programs of XLA: what they compute, their names, and that they can be compiled ahead."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.step.program import Programs, _named_by_content
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import step_inputs
from tests.helpers.tiny import tiny_config


def test_a_program_updates_variables_and_returns_a_structure():
    total, programs = tf.Variable([1.0, 2.0]), Programs()

    def compute(x, names):
        total.assign_add(x)
        return {"sum": tf.reduce_sum(total), "none": None, "list": [names["y"], x]}

    graph = tf.function(lambda x, y: programs.compiled(compute)(x, {"y": y}), autograph=False)
    for expected in (5.0, 7.0):
        result = graph(tf.ones(2), tf.constant(7))
        assert float(result["sum"]) == expected
        assert result["none"] is None
        assert [x.numpy().tolist() for x in result["list"]] == [7, [1.0, 1.0]]


def test_compiling_ahead_changes_no_variable_and_lets_others_use_them():
    total, programs = tf.Variable([1.0, 2.0]), Programs()
    graph = tf.function(
        lambda x: programs.compiled(lambda: total.assign_add(x).read_value())(), autograph=False
    )
    graph.get_concrete_function(tf.TensorSpec([2]))
    programs.compile_ahead([total])
    assert total.numpy().tolist() == [1.0, 2.0]
    assert graph(tf.ones(2)).numpy().tolist() == [2.0, 3.0]


def name_of(compute, *args):
    concrete = tf.function(compute, autograph=False, jit_compile=True).get_concrete_function(*args)
    return _named_by_content(concrete)[0]


@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_equal_functions_have_equal_names_and_others_have_not(factor):
    variable = tf.Variable(1.0)

    def make(factor, limit=3):
        @tf.custom_gradient
        def scaled(x):
            return x * factor, lambda gradient: gradient

        inner = tf.function(lambda x: scaled(x) * variable, autograph=False)

        def compute(x):
            return tf.while_loop(lambda i, _: i < limit, lambda i, x: (i + 1, inner(x)), [0, x])

        return compute

    x = tf.constant(1.0)
    name = name_of(make(2.0), x)
    tf.function(lambda x: x).get_concrete_function(x)  # takes a number
    assert (name_of(make(factor), x) == name) == (factor == 2.0)
    assert name_of(make(2.0, limit=4), x) != name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "run"),
    [
        ({}, {}),
        ({"label_size": 2}, {"precision": "mixed_float16", "microbatches": 2}),
    ],
)
@pytest.mark.parametrize("devices", ["one_device", "two_replicas"])
def test_training_steps_are_compiled_ahead_without_a_change(request, devices, options, run):
    strategy = request.getfixturevalue(devices)
    config = tiny_config(jit_compile="on", **options, **run)
    state = TrainState(config, strategy)
    train_step = TrainStep(state, config, strategy, resolution=8, fading=True)
    inputs = step_inputs(
        8, strategy=None if devices == "one_device" else strategy, label_size=2 * bool(options)
    )
    before = {name: np.array(value.numpy()) for name, value in state.variables().items()}
    train_step.prepare(inputs)
    train_step.compile_ahead()
    for name, value in state.variables().items():
        assert value.numpy().tobytes() == before[name].tobytes(), name
    train_step(inputs)
    assert int(state.generator_optimizer.iterations.numpy()) == 1
