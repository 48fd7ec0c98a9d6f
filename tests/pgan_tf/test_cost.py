import pytest

from pgan_tf.config import NetworkConfig, ScheduleConfig
from pgan_tf.cost import multiplications, remaining_seconds
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


def test_the_rest_of_a_phase_takes_its_measured_speed():
    schedule = Schedule(ScheduleConfig(total_kimg=1.0), 4)
    seconds = remaining_seconds(
        schedule, CONFIG, images_seen=400, phase=schedule.phases[0], seconds_per_image=0.5
    )
    assert seconds == pytest.approx(300)


def test_later_stages_are_expected_to_be_slower():
    schedule = Schedule(ScheduleConfig(stabilize_kimg=1, fade_kimg=1, total_kimg=3), 8)
    seconds = remaining_seconds(
        schedule, CONFIG, images_seen=0, phase=schedule.phases[0], seconds_per_image=0.001
    )
    assert seconds > 4
