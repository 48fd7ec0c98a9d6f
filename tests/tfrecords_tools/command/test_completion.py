"""Completion of flags, by the shells themselves."""

import shutil
import subprocess

import pytest

from tfrecords_tools.cli import inspect
from tfrecords_tools.command import run_one_of

bash = shutil.which("bash")


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """Return a function from words, the last one unfinished, to what bash completes it to."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "data").mkdir()
    (folder / "a file").touch()

    def complete(capsys, *words):
        assert run_one_of(inspect.COMMANDS, ["--completion=bash"]) == 0
        (folder / "script").write_text(capsys.readouterr().out)
        quoted = " ".join(f"'{word}'" for word in ("pgan-inspect-tfrecords", *words))
        command = (
            f"source ./script; COMP_WORDS=({quoted}); COMP_CWORD={len(words)};"
            '_pgan_inspect_tfrecords; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        result = subprocess.run(
            [bash, "-c", command], cwd=folder, capture_output=True, text=True, check=True
        )
        assert result.stderr == ""
        return result.stdout.split("\n")[:-1]

    return complete


@pytest.mark.skipif(bash is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ex",), ["extract"]),
        (("extract", "--lab"), ["--label=", "--labels="]),
        (("extract", "--labels", "="), ["auto", "none", "folders", "csv"]),
        (("extract", "--labels", "=", "f"), ["folders"]),
        (("show", "--nocap"), ["--nocaptions"]),
        (("show", "--vers"), ["--version"]),
        (("verify", "--nothing"), [""]),
        (("verify", "da"), ["data"]),
        (("show", "--output", "=", "a"), ["a file"]),
    ],
)
def test_bash_completes_commands_flags_choices_and_files(capsys, complete, words, expected):
    assert complete(capsys, *words) == expected


def test_there_is_a_script_for_zsh_and_for_no_other_shell(capsys):
    assert run_one_of(inspect.COMMANDS, ["--completion=zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef pgan-inspect-tfrecords\n")
    assert "--labels=folders" in script
    assert run_one_of(inspect.COMMANDS, ["--completion=fish"]) == 2
    expected = "--completion must be bash or zsh. Received: fish\n"
    assert capsys.readouterr().err == f"pgan-inspect-tfrecords: error: {expected}"
