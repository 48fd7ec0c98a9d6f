import types

import keras
import numpy as np
import pytest

import pgan_tf
from pgan_tf.cli import evaluate, generate, train
from pgan_tf.runs.hub import fetch_generator, is_on_hub, one_line_errors, parse_hub_name
from pgan_tf.runs.saved_generator import describe_generator, find_generator
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tests.helpers.hub_server import serve_hub, use_hub
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.errors import UserError


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serve_hub() as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache", token=None)
        yield server


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A generator's file, and the model in it."""
    path = tmp_path_factory.mktemp("saved") / "g.keras"
    description = {"images_seen": 5000, "label_names": ["a", "b"], "label_size": 2}
    model = save_tiny_generator(path, label_size=2, description=description)
    return path.read_bytes(), model


def refusal(network):
    with pytest.raises(UserError) as error:
        fetch_generator(network)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("hf://user/name", "user/name", None),
        ("hf://a-b/c.d_e@v1.0", "a-b/c.d_e", "v1.0"),
        ("hf://u/n@refs/pr/3", "u/n", "refs/pr/3"),
        ("hf:/u/n", "u/n", None),  # as pathlib writes it
    ],
)
def test_names_are_parsed(text, repository, revision):
    assert is_on_hub(text)
    assert parse_hub_name(text) == (repository, revision)


@pytest.mark.parametrize(
    "text",
    [
        *("hf://", "hf://user", "hf://user/", "hf:///name", "hf://user/name/more", "hf://u/n@"),
        *("hf://../..", "hf://u/..", "hf://u/a--b", "hf://u/n.git", "hf://-u/n", "hf://u/n."),
        *("hf://u/n@../x", "hf://u/n@a b", "hf://u/n\n", "hf://u/n?x=1", f"hf://u/{'n' * 97}"),
    ],
)
def test_malformed_names_are_refused_without_asking(hub, text):
    assert "must be hf://user/name or hf://user/name@revision" in refusal(text)
    assert hub.requests == []


@pytest.mark.parametrize("text", ["runs/hf", "hf", "./hf:x", "file.keras", "gs://a/b"])
def test_paths_are_not_of_the_hub(text):
    assert not is_on_hub(text)


def test_a_generator_of_the_hub_is_loaded(hub, saved, rng):
    content, model = saved
    hub.add("u/n", {"generator.keras": content})
    latents = rng.standard_normal([2, LATENT_SIZE]).astype(np.float32)
    labels = np.eye(2, dtype=np.float32)
    loaded = pgan_tf.load_generator("hf://u/n")
    np.testing.assert_array_equal(loaded([latents, labels]), model([latents, labels]))
    assert describe_generator("hf://u/n")["kimg"] == 5
    assert pgan_tf.Sampler("hf://u/n").class_names == ("a", "b")
    assert hub.authorizations == {None}


def test_revisions_are_told_apart_and_the_newest_is_taken(hub):
    first = hub.add("u/n", {"generator.keras": b"old"})
    assert find_generator("hf://u/n").read_bytes() == b"old"
    hub.add("u/n", {"generator.keras": b"new"})
    assert find_generator("hf://u/n").read_bytes() == b"new"
    assert find_generator(f"hf://u/n@{first}").read_bytes() == b"old"


def test_a_file_is_downloaded_once(hub):
    hub.add("u/n", {"generator.keras": b"x"})
    paths = {fetch_generator("hf://u/n") for _ in range(3)}
    assert len(paths) == 1
    assert sum(line.startswith("GET ") and "resolve" in line for line in hub.requests) == 1


def test_without_a_connection_the_cache_is_taken(hub, monkeypatch, tmp_path):
    hub.add("u/n", {"generator.keras": b"x"})
    fetch_generator("hf://u/n")
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache", token=None)
    assert fetch_generator("hf://u/n").read_bytes() == b"x"
    message = refusal("hf://u/other")
    assert message.startswith("hf://u/other: http://127.0.0.1:9 can't be reached (")


def test_offline_mode_is_named(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids to ask the hub" in refusal("hf://u/n")


def test_what_is_not_there_is_said(hub):
    hub.add("u/n", {"README.md": b"x"})
    assert "no such repository, or a private one; check the name" in refusal("hf://u/none")
    assert "no generator.keras in it" in refusal("hf://u/n")
    hub.add("u/n", {"generator.keras": b"x"})
    assert "hf://u/n@v9: no such revision" in refusal("hf://u/n@v9")


def test_a_private_repository_needs_a_token(hub, monkeypatch, tmp_path):
    hub.add("u/n", {"generator.keras": b"x"}, private=True)
    message = refusal("hf://u/n")
    assert "a private one" in message
    assert "HF_TOKEN" in message
    use_hub(monkeypatch, hub.url, tmp_path / "cache")
    assert fetch_generator("hf://u/n").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (403, {"X-Error-Code": "GatedRepo"}, "access is restricted; ask for it"),
        (403, {"X-Error-Message": "Not yours"}, "the hub refused access (Not yours)"),
        (429, {}, "the hub answered 429"),
        (500, {}, "the hub answered 500"),
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, "this token"),
    ],
)
def test_refusals_are_one_line(hub, status, headers, words):
    hub.refusals["/resolve/"] = status, headers, {"error": "no"}
    assert words in refusal("hf://u/n")


def test_a_refusal_by_an_earlier_client_is_no_lost_connection():
    from huggingface_hub.errors import HfHubHTTPError

    kind = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    error = kind("Invalid user token.")
    error.response = types.SimpleNamespace(status_code=401)
    with (
        pytest.raises(UserError, match=r"here: the hub does not accept this token.*Invalid user"),
        one_line_errors("here"),
    ):
        raise error


def test_a_huge_file_is_refused_before_it_is_downloaded(hub):
    hub.add("u/n", {"generator.keras": b"x"})
    headers = {"X-Linked-Size": str(1 << 40), "X-Repo-Commit": "0" * 40, "ETag": '"x"'}
    hub.refusals["HEAD .*/resolve/"] = 200, headers, None
    assert f"must hold at most {1 << 35} bytes. Received: {1 << 40}" in refusal("hf://u/n")
    assert not any(line.startswith("GET") for line in hub.requests)


def test_a_strangers_file_is_checked_as_any_other(hub):
    hub.add("u/n", {"generator.keras": b"not a network"})
    with pytest.raises(UserError, match=r"generator.keras: not a .keras file"):
        pgan_tf.load_generator("hf://u/n")


def test_code_of_a_strangers_file_is_not_executed(hub, tmp_path):
    inputs = keras.Input([4], name="latents")
    outputs = keras.layers.Lambda(lambda x: x)(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "x.keras")
    hub.add("u/n", {"generator.keras": (tmp_path / "x.keras").read_bytes()})
    with pytest.raises(UserError, match="not a generator that can be loaded"):
        pgan_tf.load_generator("hf://u/n")


def test_commands_take_networks_of_the_hub(hub, saved, tmp_path, capsys):
    hub.add("u/n", {"generator.keras": saved[0]})
    arguments = [f"--output={tmp_path / 'images'}", "--num_images=4"]
    assert generate.main(["--network=hf://u/n", *arguments]) == 0
    assert (tmp_path / "images" / "grid.png").exists()
    assert generate.main(["--network=hf://u/none", *arguments]) == 2
    error = capsys.readouterr().err
    assert "pgan-generate: error: hf://u/none: no such repository" in error
    assert "Traceback" not in error


def test_a_network_of_the_hub_is_evaluated_elsewhere_than_in_the_cache(
    hub, saved, tmp_path, capsys
):
    hub.add("u/n", {"generator.keras": saved[0]})
    labels = np.eye(2)[np.arange(24) % 2]
    data = write_pyramid(tmp_path / "data", resolution=16, channels=3, labels=labels)
    arguments = ["--network=hf://u/n", f"--data_dir={data}", "--metrics=ms_ssim"]
    assert evaluate.main(arguments) == 2
    assert (
        "--output is required: a directory for the results of hf://u/n" in capsys.readouterr().err
    )
    assert hub.requests == []
    output = tmp_path / "results"
    assert evaluate.main([*arguments, f"--output={output}"]) == 0
    assert (output / "metrics-generator.json").exists()
    assert not list((tmp_path / "cache").rglob("metrics-*"))
    assert not list((tmp_path / "cache").rglob("evaluation"))


def test_runs_do_not_begin_with_networks_of_the_hub(hub, tmp_path, capsys):
    arguments = [f"--run_dir={tmp_path / 'run'}", f"--data_dir={tmp_path}"]
    assert train.main([*arguments, "--init_from=hf://u/n"]) == 2
    assert "--init_from must be a run directory: on the hub there are" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_missing_extra_is_named(hub, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert "pip install 'pgan_tf[hub]'" in refusal("hf://u/n")
