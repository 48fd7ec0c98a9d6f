"""Networks of the TensorFlow version are read as they are, or refused by name."""

import dataclasses

import numpy as np
import pytest

from pgan_tf.legacy import read_networks
from tests.helpers.network_files import (
    GRAY_LABELS,
    PYTHON_2,
    RGB,
    golden_states,
    golden_variables,
    tf_state,
    write_network_file,
)
from tests.helpers.original_networks import from_original, original_name
from tfrecords_tools.errors import UserError


def lone_file(tmp_path, options=RGB, *, name="Gs", variables=None, **changes):
    """A file with one network of golden weights."""
    if variables is None:
        variables = golden_variables("networks_16_rgb.npz", name[0])
    state = tf_state(name, variables, options, **changes)
    return write_network_file(tmp_path / "network.pkl", [state], container=None)


def check_weights(network, file, prefix):
    golden = golden_variables(file, prefix)
    final = network.config.final_resolution
    assert len(network.weights) == len(golden)
    for path, weights in network.weights.items():
        name = original_name(network.kind, path, final)
        assert weights.dtype == np.float32
        np.testing.assert_array_equal(weights, from_original(name, golden[name]), err_msg=path)


@pytest.mark.parametrize("protocol", [PYTHON_2, 0, 1, 2, 3, 4, 5])
def test_every_weight_of_g_d_and_gs_is_read_whatever_the_protocol(tmp_path, protocol):
    path = write_network_file(tmp_path / "n.pkl", golden_states(), protocol=protocol)
    networks = read_networks(path)
    check_weights(networks.ema_generator, "networks_16_rgb.npz", "G")
    check_weights(networks.discriminator, "networks_16_rgb.npz", "D")
    for name, weights in networks.generator.weights.items():
        np.testing.assert_array_equal(weights, networks.ema_generator.weights[name] / 2)
    config = networks.ema_generator.config
    assert (config.resolution, config.channels, config.label_size) == (16, 3, 0)
    assert (config.fmap_base, config.fmap_max, config.fmap_decay) == (64, 16, 1.0)
    assert config.resolved_latent_size == 16
    assert networks.discriminator.config.fused_scale
    assert networks.discriminator.config.stddev_group_size == 4


def test_networks_with_labels_are_read(tmp_path):
    states = golden_states("networks_8_gray_labels.npz", GRAY_LABELS)
    networks = read_networks(write_network_file(tmp_path / "n.pkl", states))
    check_weights(networks.ema_generator, "networks_8_gray_labels.npz", "G")
    check_weights(networks.discriminator, "networks_8_gray_labels.npz", "D")
    assert networks.ema_generator.config.label_size == 3


def test_unfused_networks_have_other_names_and_a_kernel_that_is_not_flipped(tmp_path):
    def unfused(variables):
        named = {k.replace("_up/", "/").replace("_down/", "/"): v for k, v in variables.items()}
        for name in list(named):
            if name.endswith("Conv0/weight") and f"{name[:-7]}_up/weight" in variables:
                named[name] = variables[f"{name[:-7]}_up/weight"][::-1, ::-1].swapaxes(2, 3)
        return named

    options = {**RGB, "fused_scale": False}
    states = [
        tf_state(name, unfused(golden_variables("networks_16_rgb.npz", name[0])), options)
        for name in ("D", "Gs")
    ]
    assert "8x8/Conv0/weight" in dict(states[1]["variables"])
    networks = read_networks(write_network_file(tmp_path / "n.pkl", states))
    check_weights(networks.ema_generator, "networks_16_rgb.npz", "G")
    check_weights(networks.discriminator, "networks_16_rgb.npz", "D")
    assert not networks.discriminator.config.fused_scale


def test_weights_of_other_floats_become_float32(tmp_path):
    golden = golden_variables("networks_16_rgb.npz", "G")
    for dtype in (np.float16, np.float64):
        variables = {name: array.astype(dtype) for name, array in golden.items()}
        path = lone_file(tmp_path, {**RGB, "dtype": "float16"}, variables=variables)
        network = read_networks(path).ema_generator
        assert {weights.dtype for weights in network.weights.values()} == {np.dtype(np.float32)}
        bias = network.weights["16x16_conv1/bias"]
        np.testing.assert_array_equal(bias, golden["16x16/Conv1/bias"].astype(dtype))


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["Gs"], (None, None, "Gs")),
        (["G"], ("G", None, None)),
        (["D"], (None, "D", None)),
        (["G", "D"], ("G", "D", None)),
        ([None, None, "Gs"], (None, None, "Gs")),
        (["Gs", "G"], ("G", None, "Gs")),
        (["D", "Gs"], (None, "D", "Gs")),
    ],
)
@pytest.mark.parametrize("container", [tuple, list])
def test_a_file_may_hold_only_some_networks(tmp_path, names, roles, container):
    states = {state["name"]: state for state in golden_states()}
    states[None] = None
    chosen = [states[name] for name in names]
    networks = read_networks(write_network_file(tmp_path / "n.pkl", chosen, container=container))
    read = (networks.generator, networks.discriminator, networks.ema_generator)
    assert tuple(network and network.name for network in read) == roles


def test_of_two_generators_without_telling_names_the_last_is_the_average(tmp_path):
    generator, discriminator, average = golden_states()
    generator["name"] = average["name"] = "network"
    path = write_network_file(tmp_path / "n.pkl", [generator, discriminator, average])
    networks = read_networks(path)
    check_weights(networks.ema_generator, "networks_16_rgb.npz", "G")


@pytest.mark.parametrize(
    ("lod", "resolution", "alpha"),
    [(0.0, 16, None), (1.0, 8, None), (0.25, 16, 0.75), (2, 4, None)],
)
def test_the_stage_a_network_was_saved_at_is_known(tmp_path, lod, resolution, alpha):
    network = read_networks(lone_file(tmp_path, lod=lod)).ema_generator
    assert (network.resolution, network.alpha) == (resolution, alpha)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"use_wscale": 2}, "option use_wscale must be True or False.* Received: 2"),
        ({"use_pixelnorm": "no"}, "option use_pixelnorm must be True or False"),
        ({"use_leakyrelu": None}, "option use_leakyrelu must be True or False"),
        ({"normalize_latents": [1]}, r"option normalize_latents must be .* Received: \[1\]"),
        ({"pixelnorm_epsilon": "1e-4"}, "option pixelnorm_epsilon has no sense"),
        ({"pixelnorm_epsilon": 0}, "pixel_norm_epsilon must be"),
        ({"use_batchnorm": True}, "option use_batchnorm must be False"),
        ({"num_channels": 4}, "option num_channels must be 1 or 3. Received: 4"),
        ({"resolution": 24}, "resolution must be a power of two"),
        ({"resolution": "16"}, "option resolution has no sense. Received: '16'"),
        ({"fused_scale": 1}, "option fused_scale has no sense"),
        ({"fmap_max": 2.5}, "option fmap_max has no sense"),
        ({"fmap_base": 2**100}, "option fmap_base has no sense"),
        ({"fmap_decay": float("nan")}, "option fmap_decay has no sense"),
        ({"tanh_at_end": 1.0}, "option tanh_at_end must be None"),
        ({"mapping_layers": 8}, "option mapping_layers is none that pgan_tf has. Received: 8"),
    ],
)
def test_options_that_we_do_not_have_are_refused_by_name(tmp_path, options, named):
    path = lone_file(tmp_path, {**RGB, **options})
    with pytest.raises(UserError, match=f"{path}: Gs: .*{named}"):
        read_networks(path)


@pytest.mark.parametrize(
    ("options", "ours"),
    [
        ({"use_wscale": False}, {"equalized_learning_rate": False}),
        ({"use_pixelnorm": False}, {"generator_norm": "none"}),
        ({"use_leakyrelu": False}, {"generator_activation": "relu"}),
        ({"normalize_latents": np.bool_(False)}, {"normalize_latents": False}),
        ({"pixelnorm_epsilon": np.float32(0.25)}, {"pixel_norm_epsilon": 0.25}),
        ({"mbstd_group_size": 16}, {"stddev_group_size": 16}),
        ({"mbstd_group_size": 0}, {"minibatch_features": "none"}),
        ({"mbstd_group_size": 1}, {"minibatch_features": "none"}),
    ],
)
def test_options_that_make_another_network_are_read(tmp_path, options, ours):
    plain = read_networks(lone_file(tmp_path, RGB)).ema_generator
    network = read_networks(lone_file(tmp_path, {**RGB, **options})).ema_generator
    assert network.config == dataclasses.replace(plain.config, **ours)
    # The weights are the file's in any case: the options change how they are used.
    for name, weight in plain.weights.items():
        np.testing.assert_array_equal(network.weights[name], weight)


def test_a_value_that_would_take_forever_to_write_down_is_refused_at_once(tmp_path):
    value = []
    for _ in range(60):
        value = [value, value]  # written out, 2^60 brackets
    with pytest.raises(
        UserError, match=r"network\.pkl: damaged or no pickle: it has more than \d+ parts"
    ):
        read_networks(lone_file(tmp_path, {**RGB, "fmap_max": value}))


def test_options_that_make_no_difference_are_taken(tmp_path):
    options = {
        **RGB,
        "use_wscale": True,
        "dtype": "float32",
        "structure": "recursive",
        "is_template_graph": False,
        # Left over in networks that were converted from the Theano version.
        "use_batchnorm": False,
        "tanh_at_end": None,
        "mbstat_func": "Tstdeps",
        "use_gdrop": True,
        "latent_size": np.int64(16),
        "fmap_decay": 1,
    }
    assert read_networks(lone_file(tmp_path, options)).ema_generator.config.latent_size == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 5}, "name must be printable text. Received: 5"),
        ({"name": "G\ud800"}, r"name must be printable text. Received: 'G\\ud800'"),
        ({"version": 1}, "version must be 2. Received: 1"),
        ({"build_func_name": "G_style"}, "builder must be G_paper or D_paper.*'G_style'"),
        ({"variables": {}}, "variables must be a list"),
        ({"static_kwargs": None}, "options must be a dictionary"),
    ],
)
def test_another_state_is_refused(tmp_path, change, message):
    state = {**golden_states()[2], **change}
    path = write_network_file(tmp_path / "n.pkl", [state], container=None)
    with pytest.raises(UserError, match=f"{path}: .*{message}"):
        read_networks(path)


@pytest.mark.parametrize(
    ("state", "received"), [({"name": "G", "x": 1}, r"\['name', 'x'\]"), (3, "int")]
)
def test_an_incomplete_state_is_refused(tmp_path, state, received):
    path = write_network_file(tmp_path / "n.pkl", [state], container=None)
    with pytest.raises(UserError, match=f"a network without version, .*Received: {received}"):
        read_networks(path)


def changed(name, value):
    variables = golden_variables("networks_16_rgb.npz", "G")
    if value is None:
        del variables[name]
    else:
        variables[name] = value
    return variables


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("8x8/Conv1/bias", None, "has a variable 8x8/Conv1/bias; it has not"),
        (
            "8x8/Conv1/bias",
            np.zeros(5, np.float32),
            r"must be floats \[16\]. Received: float32 \[5\]",
        ),
        (
            "8x8/Conv1/bias",
            np.zeros(16, np.int32),
            r"must be floats \[16\]. Received: int32 \[16\]",
        ),
        ("8x8/Conv1/bias", "zeros", r"must be floats \[16\]. Received: str"),
        ("8x8/Conv1/bias", np.full(16, np.nan, np.float32), "8x8/Conv1/bias holds .* not finite"),
        ("32x32/Conv1/bias", np.zeros(5), "has not. Received: 32x32/Conv1/bias"),
        ("lod", np.float32(3), r"lod must be a number in 0..2"),
        ("lod", "0", r"lod must be a number in 0..2. Received: '0'"),
    ],
)
def test_variables_that_do_not_fit_are_refused_by_name(tmp_path, name, value, message):
    with pytest.raises(UserError, match=f"Gs: .*{message}"):
        read_networks(lone_file(tmp_path, variables=changed(name, value)))


def test_sizes_that_only_the_options_promise_take_no_memory(tmp_path):
    path = lone_file(tmp_path, {**RGB, "fmap_base": 2**50, "fmap_max": 2**50})
    with pytest.raises(UserError, match="4x4/Dense/weight must be floats"):
        read_networks(path)
