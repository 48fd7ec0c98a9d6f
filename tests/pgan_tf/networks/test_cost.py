import dataclasses
import math

import pytest
import tensorflow as tf

from pgan_tf.config import (
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    TrainConfig,
)
from pgan_tf.config.phases import Schedule
from pgan_tf.layers.kernels import winograd
from pgan_tf.networks.cost import (
    TYPICAL_OVERHEAD,
    StepTimes,
    multiplications,
    step_multiplications,
)
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.step.inputs import IterationInputs, StepInputs
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.placement import function_graph

pytestmark = pytest.mark.slow

CONFIG = NetworkConfig(resolution=16, fmap_base=64, fmap_max=8, label_size=2)
# Each makes other networks.
OPTIONS = [
    {"minibatch_features": "none"},
    {"minibatch_features": "discrimination", "discrimination_kernels": 7},
    {"convs_per_resolution": 1},
    {"convs_per_resolution": 1, "minibatch_features": "none", "discriminator_fmap_divisor": 2},
    {"to_rgb_kernel_size": 3},
    {"discriminator_fmap_divisor": 4},
]


@pytest.mark.parametrize("options", [{}, *OPTIONS])
@pytest.mark.parametrize(("resolution", "fading"), [(4, False), (8, True), (16, False)])
def test_multiplications_are_those_of_the_layers(resolution, fading, options):
    config = dataclasses.replace(CONFIG, **options)

    def of_layer(variable, network):
        """Return kernel size times pixels of its output, from the variable's name and shape."""
        layer, kind = variable.path.split("/")
        if kind not in ("kernel", "direction"):
            return 0
        per_pixel = 1
        for side in variable.shape:
            per_pixel *= side
        if "dense" in layer or "discrimination" in layer:
            return per_pixel
        size = (
            int(layer.split("_")[-1].split("x")[0]) if "rgb" in layer else int(layer.split("x")[0])
        )
        resampling = "conv0" if network.name == "generator" else "conv1"
        if resampling in layer:  # 4x4 instead of 3x3, at the lower resolution
            return per_pixel * 16 / 9 * (size / 2) ** 2
        return per_pixel * size**2

    expected = sum(
        of_layer(variable, network)
        for network in (Generator(config), Discriminator(config))
        for variable in network.variables_at(resolution, fading=fading)
    )
    counted = multiplications(config, resolution, fading=fading)
    assert counted == pytest.approx(expected, rel=1e-9)


def times(schedule, **seconds_per_image):
    """Return step times measured in phases named `p0`, `p1`, ..."""
    step_times = StepTimes(TrainConfig(network=CONFIG))
    for name, seconds in seconds_per_image.items():
        step_times.add(schedule.phases[int(name[1:])], seconds)
    return step_times


def test_the_rest_of_a_phase_takes_its_measured_speed():
    schedule = Schedule(ScheduleConfig(total_kimg=1.0), 4)
    assert times(schedule, p0=0.5).remaining(schedule, 400) == pytest.approx(300)
    assert times(schedule, p0=0.5).remaining(schedule, 2000) == 0


THREE_STAGES = Schedule(
    ScheduleConfig(stabilize_kimg=1, fade_kimg=1, total_kimg=5, batch_size=10), 16
)


def work(index):
    phase = THREE_STAGES.phases[index]
    return 10 * multiplications(CONFIG, phase.resolution, fading=phase.fading)


def test_two_measured_phases_tell_overhead_and_rate():
    overhead, rate = 0.02, 1e6
    measured = {f"p{i}": (overhead + work(i) / rate) / 10 for i in (0, 2)}
    step_times = times(THREE_STAGES, **measured)
    for i, phase in enumerate(THREE_STAGES.phases):
        assert step_times.seconds(phase) == pytest.approx(overhead + work(i) / rate)


def test_one_measured_phase_is_taken_for_overhead_as_far_as_that_is_usual():
    step_times = times(THREE_STAGES, p0=(TYPICAL_OVERHEAD + 0.005) / 10)
    expected = TYPICAL_OVERHEAD + 0.005 * work(4) / work(0)
    assert step_times.seconds(THREE_STAGES.phases[4]) == pytest.approx(expected)


def test_a_speed_that_fits_no_model_still_gives_a_time():
    step_times = times(THREE_STAGES, p0=0.5, p2=0.1)  # a machine that was busy at first
    assert all(step_times.seconds(phase) > 0 for phase in THREE_STAGES.phases)
    assert step_times.remaining(THREE_STAGES, 0) > 0


def test_speeds_of_stages_with_fewer_penalties_are_derived_from_others():
    config = TrainConfig(
        network=CONFIG, loss=LossConfig(loss="logistic", r1_gamma_by_resolution={16: 0.0})
    )
    measured, other = THREE_STAGES.phases[2], THREE_STAGES.phases[4]
    step_times = StepTimes(config)
    step_times.add(measured, 0.5)
    expected = TYPICAL_OVERHEAD + (5.0 - TYPICAL_OVERHEAD) * 6 * work(4) / (9 * work(2))
    assert step_times.seconds(other) == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 2])
def test_frozen_layers_spare_what_goes_back_through_them(count):
    def step(freeze, **loss):
        config = TrainConfig(
            network=NetworkConfig(resolution=16, fmap_base=64, fmap_max=8),
            schedule=ScheduleConfig(start_resolution=16),
            loss=LossConfig(**loss),
            optimizer=OptimizerConfig(freeze_discriminator=freeze),
            run=RunConfig(init_from="another"),
        )
        return step_multiplications(config, 16, fading=False)

    from_rgb, conv0, conv1 = 16**2 * 3 * 8, 16**2 * 9 * 8**2, 8**2 * 16 * 8**2
    frozen = from_rgb + conv0 + conv1
    if count == 2:
        frozen += 8**2 * 9 * 8**2 + 4**2 * 16 * 8**2
    assert step(0, loss="lsgan") - step(count, loss="lsgan") == pytest.approx(4 * frozen)
    assert step(0) - step(count) == pytest.approx(7 * frozen)


@pytest.mark.parametrize(
    ("loss", "optimizer", "expected"),
    [
        ({}, {}, 9),
        ({"loss": "logistic"}, {}, 9),
        ({"loss": "lsgan"}, {}, 6),
        ({"loss": "logistic", "r2_gamma": 1.0}, {}, 12),
        ({"loss": "rpgan"}, {}, 12.5),
        ({"loss": "rpgan"}, {"simultaneous_updates": True}, 11.5),
        ({"loss": "logistic", "penalty_interval": 4}, {}, 6.75),
        ({"loss": "rpgan", "penalty_interval": 2}, {}, 9.75),
        ({}, {"discriminator_steps": 5}, 7),
        ({}, {"simultaneous_updates": True}, 8.5),
        ({"loss": "rpgan"}, {"freeze_discriminator": 2}, None),
    ],
    ids=str,
)
def test_a_step_multiplies_as_often_as_so_many_forward_passes(
    monkeypatch, one_device, loss, optimizer, expected
):
    monkeypatch.setattr(winograd, "is_faster", lambda x, kernel: False)
    batch_size, resolution = 16, 16
    config = TrainConfig(
        network=NetworkConfig(resolution=resolution, fmap_base=256, fmap_max=32),
        schedule=ScheduleConfig(start_resolution=resolution, batch_size=batch_size),
        loss=LossConfig(**loss),
        optimizer=OptimizerConfig(**optimizer),
        run=RunConfig(init_from="another" if "freeze_discriminator" in optimizer else ""),
    )
    state = TrainState(config, one_device)
    empty = tf.zeros([1, batch_size, 0])
    iterations = IterationInputs(
        images=tf.zeros([1, batch_size, 3, resolution, resolution], tf.uint8),
        labels=empty,
        fake_labels=empty,
        alpha=tf.constant([1.0]),
        learning_rate=tf.constant([0.001]),
        images_seen=tf.constant([0], tf.int64),
        noise_seed=tf.constant(state.noise_seed, tf.int64),
        stop_flags=tf.zeros([0]),
    )
    inputs = StepInputs(iterations, count=tf.constant(1))
    forward = batch_size * multiplications(config.network, resolution, fading=False)

    def counted(kind):
        train_step = TrainStep(
            state,
            config,
            one_device,
            resolution=resolution,
            fading=False,
            kind=kind,
        )
        graph = train_step.graph.get_concrete_function(inputs).graph
        return sum(multiply_adds(operation) for operation in run_operations(graph)) / forward

    counts = {"resolution": resolution, "fading": False}
    passes = step_multiplications(config, **counts) / multiplications(config.network, **counts)
    assert expected is None or passes == pytest.approx(expected)
    kinds = config.step_kinds
    by_kind = {kind: counted(kind) for kind in set(kinds)}
    assert sum(by_kind[kind] for kind in kinds) / len(kinds) == pytest.approx(passes, rel=0.15)


def run_operations(graph):
    """Return the operations that outputs and updates need; TensorFlow prunes the rest."""
    pending = [output.op for output in graph.outputs] + list(graph.control_outputs)
    found = set()
    while pending:
        operation = pending.pop()
        if operation not in found:
            found.add(operation)
            pending += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
            if operation.type in ("While", "StatelessWhile"):  # the loop over a call's iterations
                body = function_graph(graph, operation.get_attr("body").name)
                found |= run_operations(body)
    return found


def multiply_adds(operation):
    """Return those of a convolution, its gradients or a matrix product, from tensor shapes."""
    sizes = {
        "Conv2D": lambda x, kernel: (operation.outputs[0].shape, kernel.shape[:3]),
        "Conv2DBackpropInput": lambda _, kernel, out: (out.shape, kernel.shape[:3]),
        "Conv2DBackpropFilter": lambda x, _, out: (out.shape, operation.outputs[0].shape[:3]),
        "MatMul": lambda a, b: (operation.outputs[0].shape, inner(operation, a)),
    }
    if operation.type not in sizes:
        return 0
    return math.prod(math.prod(shape) for shape in sizes[operation.type](*operation.inputs))


def inner(operation, left):
    return [left.shape[0 if operation.get_attr("transpose_a") else 1]]
