import pytest

from pgan_tf.config import NetworkConfig, ScheduleConfig
from pgan_tf.cost import TYPICAL_OVERHEAD, StepTimes, multiplications
from pgan_tf.networks import Discriminator, Generator
from pgan_tf.schedule import Schedule

CONFIG = NetworkConfig(resolution=16, fmap_base=64, fmap_max=8, label_size=2)


@pytest.mark.parametrize(("resolution", "fading"), [(4, False), (8, True), (16, False)])
def test_multiplications_are_those_of_the_layers(resolution, fading):
    def of_layer(variable, network):
        """Kernel size times the pixels it is applied to, from the variable's name and shape."""
        layer, kind = variable.path.split("/")
        if kind == "bias":
            return 0
        per_pixel = 1
        for side in variable.shape:
            per_pixel *= side
        if "dense" in layer:
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
        for network in (Generator(CONFIG), Discriminator(CONFIG))
        for variable in network.variables_at(resolution, fading=fading)
    )
    counted = multiplications(CONFIG, resolution, fading=fading)
    assert counted == pytest.approx(expected, rel=1e-9)


def times(schedule, **seconds_per_image):
    """Step times measured in phases named `p0`, `p1`, ..."""
    step_times = StepTimes(CONFIG)
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
