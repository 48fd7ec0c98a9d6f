import os
import signal

import keras
import numpy as np
import pytest

import pgan_tf
from pgan_tf.cli import export as command
from pgan_tf.exporting.hub.upload import push_folder
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tests.helpers.hub_server import TOKEN, serve_hub, use_hub
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serve_hub() as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        yield server


@pytest.fixture
def push(tmp_path, capsys):
    """Exports a generator and pushes it; returns the exit code, stdout and stderr."""
    model = save_tiny_generator(tmp_path / "g.keras", description={"images_seen": 7000})

    def run(repository="tester/net", *arguments):
        code = command.main(
            [
                f"--network={tmp_path / 'g.keras'}",
                "--format=hub",
                f"--output={tmp_path / 'out'}",
                f"--push_to={repository}",
                *arguments,
            ]
        )
        captured = capsys.readouterr()
        assert TOKEN not in captured.out + captured.err
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    run.model = model
    run.folder = tmp_path / "out"
    return run


@pytest.fixture
def folder(tmp_path):
    """A folder as an export writes it, with little in it."""
    path = tmp_path / "folder"
    path.mkdir()
    (path / "README.md").write_text("---\nlicense: mit\n---\n")
    (path / "generator.keras").write_bytes(b"weights")
    (path / "model.weights.h5").write_bytes(b"more weights")
    return path


def errors(text):
    return [line for line in text.splitlines() if line.startswith("pgan-export: error:")]


def test_a_folder_goes_to_the_hub_and_comes_back(hub, push, rng):
    code, out, _ = push("tester/net", "--license=mit")
    assert code == 0
    assert f"uploaded to {hub.url}/tester/net" in out
    local = {path.name: path.read_bytes() for path in push.folder.iterdir()}
    assert hub.files("tester/net") == local
    assert not hub.repos["tester/net"]["private"]
    assert b'load_model("hf://tester/net")' in local["README.md"]
    latents = rng.standard_normal([3, LATENT_SIZE]).astype(np.float32)
    expected = push.model(latents)
    np.testing.assert_allclose(
        pgan_tf.load_generator("hf://tester/net")(latents), expected, atol=1e-4
    )
    assert pgan_tf.describe_generator("hf://tester/net")["kimg"] == 7
    # Keras's own support, as the hub's page shows it.
    loaded = keras.saving.load_model("hf://tester/net")
    np.testing.assert_allclose(loaded(latents), expected, atol=1e-4)
    truncated = pgan_tf.with_truncation(pgan_tf.load_generator("hf://tester/net"))
    images = truncated([latents, np.zeros([3, 1], np.float32)])
    assert np.ptp(images, axis=0).max() < 1e-5


def test_a_repository_is_updated(hub, push):
    hub.add("tester/net", {"notes.txt": b"mine"})
    assert push()[0] == 0
    assert hub.files("tester/net")["notes.txt"] == b"mine"
    assert len(hub.repos["tester/net"]["commits"]) == 2
    before = hub.files("tester/net")["generator.keras"]
    assert push("tester/net", "--overwrite", "--title=New")[0] == 0
    assert b"# New" in hub.files("tester/net")["README.md"]
    assert len(before) == len(hub.files("tester/net")["generator.keras"])


def test_a_new_repository_can_be_private(hub, push):
    assert push("tester/net", "--private")[0] == 0
    assert hub.repos["tester/net"]["private"]
    assert pgan_tf.describe_generator("hf://tester/net")["kimg"] == 7


def test_a_public_repository_is_not_taken_for_a_private_one(hub, push):
    hub.add("tester/net", {})
    code, _, error = push("tester/net", "--private")
    assert code == 2
    assert "exists and is public, which --private does not change" in error
    assert hub.files("tester/net") == {}
    assert (push.folder / "README.md").exists()


@pytest.mark.parametrize("name", ["net", "tester/", "a/b/c", "hf://tester/net", "tester/n et"])
def test_a_malformed_name_is_refused_before_any_work(hub, push, name):
    code, _, error = push(name)
    assert code == 2
    assert f"--push_to must be user/name, as on the hub. Received: {name}" in error
    assert hub.requests == []
    assert not push.folder.exists()


def test_nobody_logged_in_is_said_before_any_work(hub, push, monkeypatch, tmp_path):
    use_hub(monkeypatch, hub.url, tmp_path / "cache", token=None)
    code, _, error = push()
    assert code == 2
    assert "nobody is logged in on the hub; log in by `hf auth login`, or set HF_TOKEN" in error
    assert not push.folder.exists()


def test_a_wrong_token_is_said_before_any_work(hub, push, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    code, _, error = push()
    assert code == 2
    assert "does not accept this token" in error
    assert "hf_wrong" not in error
    assert not push.folder.exists()


def test_no_network_is_said_before_any_work(hub, push, monkeypatch, tmp_path):
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    code, _, error = push()
    assert code == 2
    assert "http://127.0.0.1:9 can't be reached" in error
    assert not push.folder.exists()


@pytest.mark.parametrize(
    ("repository", "pattern", "answer", "words"),
    [
        ("other/net", None, None, "You don't have the rights to create a model under other"),
        ("tester/net", "/preupload/", (403, {}, {"error": "over quota"}), "over quota"),
        ("tester/net", "PUT /lfs/", (403, {}, {"error": "storage"}), "while uploading"),
        ("tester/net", "/commit/", (400, {}, {"error": "bad commit"}), "400"),
        ("tester/net", "/validate-yaml", (400, {}, {"errors": [{"message": "odd"}]}), "odd"),
        ("tester/net", "/validate-yaml", (503, {}, b"<html>"), "Expecting value"),
    ],
)
def test_a_refused_upload_leaves_the_folder_complete(
    hub, folder, repository, pattern, answer, words
):
    if pattern is not None:
        hub.refusals[pattern] = answer
    with pytest.raises(UserError) as error:
        push_folder(folder, os.listdir(folder), repository, private=False)
    assert words in str(error.value)
    complete = f"The folder is complete; to upload it later: hf upload {repository} {folder}"
    assert str(error.value).endswith(complete)
    assert "\n" not in str(error.value)


def test_a_failure_of_the_clients_fast_transfers_is_one_line(hub, folder, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    with pytest.raises(UserError, match=r"^--push_to=tester/net: .*The folder is complete"):
        push_folder(folder, os.listdir(folder), "tester/net", private=False)  # no Xet there


def test_a_failed_upload_of_the_command_is_one_line(hub, push):
    hub.refusals["/commit/"] = 400, {}, {"error": "bad commit"}
    code, _, error = push()
    assert code == 2
    (line,) = errors(error)
    assert "bad commit" in line
    assert "generator.keras" in os.listdir(push.folder)


def test_ctrl_c_in_the_middle_of_an_upload_leaves_the_folder_complete(hub, push, caplog):
    hub.interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)
    code, _, error = push()
    assert code == 130
    assert error.endswith("pgan-export: interrupted\n")
    assert "the upload was interrupted. The folder is complete" in caplog.text
    assert "README.md" in os.listdir(push.folder)
    assert hub.repos["tester/net"]["commits"] == []
