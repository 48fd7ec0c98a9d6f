"""Programs of an iteration: how many there are, and that nothing is copied between them."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig, RunConfig, TrainConfig
from pgan_tf.config.phases import Phase, Step
from pgan_tf.data.batches import Batch
from pgan_tf.step import compilation
from pgan_tf.step.compilation import Compilation, choose_compilation
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.feeding import to_replicas
from tests.helpers.placement import compiled_functions, copies, is_compiled, operations
from tests.helpers.steps import step_inputs
from tests.helpers.tiny import tiny_config

SLICES = {"Placeholder", "Const", "StridedSlice", "Pack", "AddV2", "Identity", "NoOp"}
LOOP = {"While", "Less", "TensorListReserve", "TensorListSetItem", "TensorListStack"}
PROGRAMS = {"StatefulPartitionedCall"}
EXCHANGE = {
    *("CollectiveReduceV2", "Reshape", "Prod", "ConcatV2", "SplitV", "RealDiv", "IdentityN"),
}
# TensorFlow's exchange computes the sizes of its tensors, which it folds into constants.
FOLDED = {("Const", "Prod"), ("Prod", "Pack")}


def traced(strategy, *, room=3, **run):
    """Return the graph of a call with room for some iterations."""
    config = tiny_config(**run)
    state = TrainState(config, strategy)
    train_step = TrainStep(state, config, strategy, resolution=8, fading=True)
    phase = Phase(1, 8, True, 0, 160, 160, 16, 0.01)
    empty = np.zeros([16, 0], np.float32)
    batch = Batch(np.zeros([16, 3, 8, 8], np.uint8), empty, empty)
    inputs = to_replicas(strategy, state, [(Step(phase, 0, 0.5, 0.01), batch)], steps_per_call=room)
    return train_step.graph.get_concrete_function(inputs).graph


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "room"),
    [("float32", 1), ("float32", 3), ("mixed_bfloat16", 3), ("mixed_float16", 3)],
)
def test_one_replica_is_one_program_and_copies_nothing(one_device, precision, room):
    graph = traced(one_device, room=room, precision=precision, jit_compile="on")
    assert len(compiled_functions(graph)) == 1
    assert {op.type for op in operations(graph)} <= SLICES | LOOP | PROGRAMS
    assert copies(graph) == []


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_several_replicas_leave_nothing_but_the_exchange_uncompiled(two_replicas, precision):
    graph = traced(two_replicas, precision=precision, jit_compile="on")
    # Gradients and updates of two networks, on two replicas.
    assert sum(is_compiled(op) for op in operations(graph)) == 8
    assert {op.type for op in operations(graph)} <= SLICES | LOOP | PROGRAMS | EXCHANGE
    assert set(copies(graph)) <= FOLDED


@pytest.mark.slow
def test_the_copies_of_a_plain_graph_are_found(one_device):
    graph = traced(one_device, jit_compile="off")
    assert not compiled_functions(graph)
    assert ("StatelessRandomGetKeyCounter", "StatelessRandomUniformFullIntV2") in copies(graph)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"simultaneous_updates": True}, "data": {"mirror_augment": True}},
        {"loss": {"loss": "lsgan"}, "network": {"discriminator_noise": 0.2}},
        {
            "loss": {"loss": "rpgan", "penalty_interval": 2},
            "optimizer": {"simultaneous_updates": True, "ema_rampup": 0.05},
        },
        {
            "loss": {"loss": "rpgan", "r1_gamma": 0.1},
            "network": {"pixel_norm_epsilon": 1e-4, "label_size": 2},
            "run": {"precision": "mixed_float16"},
        },
        {
            "network": {"pixel_norm_epsilon": 1e-4, "label_size": 2},
            "run": {"precision": "mixed_float16"},
        },
    ],
    ids=["simultaneous updates", "noise in features", "pairs", "pairs in float16", "float16"],
)
def test_compiled_replicas_take_the_steps_of_a_plain_one_with_any_option(
    one_device, two_replicas, changes
):
    images = np.random.default_rng(0).integers(0, 256, [16, 3, 4, 4]).astype(np.uint8)
    found = []
    for strategy, jit_compile in ((one_device, "off"), (two_replicas, "on")):
        config = tiny_config(jit_compile=jit_compile)
        for section, values in changes.items():
            changed = dataclasses.replace(getattr(config, section), **values)
            config = dataclasses.replace(config, **{section: changed})
        state = TrainState(config, strategy)
        train_step = TrainStep(state, config, strategy, resolution=4, fading=False)
        for i in range(2):
            inputs = step_inputs(
                16,
                images_seen=16 * i,
                images=images,
                label_size=config.network.label_size,
                strategy=strategy if strategy is two_replicas else None,
            )
            scalars = train_step(inputs).last_scalars
        found.append(scalars)
    plain, compiled = found
    assert compiled.keys() == plain.keys()
    tolerance = 0.02 if "run" in changes else 2e-4
    if config.loss.loss == "rpgan":
        # Only differences of scores matter: Adam moves the last bias by gradients of rounding.
        for scalars in found:
            scalars["scores/real"] -= scalars.pop("scores/fake")
    for name, value in plain.items():
        assert compiled[name] == pytest.approx(value, rel=tolerance, abs=tolerance), name


_CALLS = """
import tensorflow as tf
from pgan_tf.step.inputs import StepInputs
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import step_inputs
from tests.helpers.tiny import tiny_config
strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
config = tiny_config(jit_compile="on")
state = TrainState(config, strategy)
train_step = TrainStep(state, config, strategy, resolution=8, fading=False)
one = step_inputs(8).iterations
for room, count in ((3, 1), (3, 3), (3, 2), (1, 1)):
    axes = ("images", "labels", "fake_labels", "alpha", "learning_rate", "images_seen")
    wide = {name: tf.repeat(getattr(one, name), room, axis=0) for name in axes}
    result = train_step(StepInputs(one._replace(**wide), count=tf.constant(count)))
    assert result.scalars.shape[0] == count
"""


@pytest.mark.slow
def test_calls_of_any_length_compile_one_program(tmp_path):
    flags = f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"
    environment = {**os.environ, "XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", _CALLS], env=environment, check=True)
    assert len(list(tmp_path.glob("*iterate_once*before_optimizations.txt"))) == 1
    assert len(list(tmp_path.glob("*.before_optimizations.txt"))) == 1


@pytest.mark.parametrize(
    ("jit_compile", "has_gpu", "norm", "replicas", "expected"),
    [
        ("auto", False, "pixel", 1, Compilation.NONE),
        ("auto", True, "pixel", 1, Compilation.WHOLE),
        ("auto", True, "pixel", 2, Compilation.PARTS),
        ("auto", True, "batch", 1, Compilation.NONE),
        ("off", True, "pixel", 1, Compilation.NONE),
        ("on", False, "pixel", 1, Compilation.WHOLE),
        ("on", False, "pixel", 8, Compilation.PARTS),
    ],
)
def test_an_iteration_is_compiled_as_far_as_replicas_allow(
    monkeypatch, jit_compile, has_gpu, norm, replicas, expected
):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"] * has_gpu)
    config = TrainConfig(
        network=NetworkConfig(resolution=8, generator_norm=norm),
        run=RunConfig(jit_compile=jit_compile),
    )
    assert choose_compilation(config, replicas=replicas) is expected


@pytest.mark.parametrize(
    ("jit_compile", "expected"), [("auto", Compilation.NONE), ("on", Compilation.WHOLE)]
)
def test_a_gpu_on_which_xla_fails_is_used_without_it_unless_the_user_insists(
    monkeypatch, jit_compile, expected
):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(compilation, "xla_works", lambda: False)
    config = TrainConfig(
        network=NetworkConfig(resolution=8), run=RunConfig(jit_compile=jit_compile)
    )
    assert choose_compilation(config, replicas=1) is expected
