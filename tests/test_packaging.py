"""The package as it is published: built, installed beside nothing else, and run."""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import pgan_tf

ROOT = Path(__file__).parents[1]
PARTS_OF_THE_SOURCE = (
    "setup.cfg",
    "pyproject.toml",
    "Makefile",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    "configs/demo.flags",
    "docs/README.md",
    "tests/test_packaging.py",
    "tests/golden/networks_16_rgb.npz",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist made from a checkout, and the wheel made from the sdist."""
    checkout, dist = tmp_path_factory.mktemp("checkout") / "source", tmp_path_factory.mktemp("dist")
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name, follow_symlinks=False)
    # With setuptools of this environment, since tests never download.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist)]
    result = subprocess.run(
        [*command, str(checkout)], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    """The programs of an environment that holds the wheel, and its dependencies from this one."""
    directory = tmp_path_factory.mktemp("environment") / "env"
    venv.create(directory, with_pip=False, symlinks=True)
    python = directory / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, "--no-index", "--no-deps", str(built[1])], check=True, timeout=300)
    # A path named in a .pth file is searched last, and its own .pth files (this checkout is
    # installed by one) are not read.
    (site,) = directory.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory / "bin"


def run(environment, directory, program, *arguments):
    """Runs a program as in a shell that knows nothing of this checkout."""
    result = subprocess.run(
        [environment / program, *arguments],
        cwd=directory,
        env={"PATH": f"{environment}:/usr/bin:/bin", "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_sdist_holds_the_whole_project(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= set(PARTS_OF_THE_SOURCE)


def test_the_wheel_holds_the_packages_with_their_types_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("/METADATA"))).decode()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"pgan_tf", "tfrecords_tools", f"pgan_tf-{pgan_tf.__version__}.dist-info"}
    assert {"pgan_tf/py.typed", "tfrecords_tools/py.typed"} <= set(names)
    for package in ("pgan_tf", "tfrecords_tools"):
        sources = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert sources == {n for n in names if n.startswith(f"{package}/") and n.endswith(".py")}
    page = ROOT / "pgan_tf" / "exporting" / "web" / "page"
    assert {str(path.relative_to(ROOT)) for path in page.iterdir()} <= set(names)
    assert "pgan_tf/exporting/web/onnxruntime_license.txt" in names
    configs = {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.flags")}
    assert configs == {n.removeprefix("pgan_tf/") for n in names if n.endswith(".flags")}
    assert f"\nVersion: {pgan_tf.__version__}\n" in metadata
    for label in ("Documentation", "Changelog", "Issues"):
        assert f"\nProject-URL: {label}, https://" in metadata


def test_an_installed_wheel_runs(environment, tmp_path):
    code = "import pgan_tf; print(pgan_tf.__version__, pgan_tf.__file__)"
    version, file = run(environment, tmp_path, "python", "-c", code).split()
    assert version == pgan_tf.__version__
    assert Path(file).is_relative_to(environment.parent)
    for name in ("export", "generate", "evaluate", "import"):
        assert f"pgan-{name}" in run(environment, tmp_path, f"pgan-{name}", "--help")
    run(
        environment,
        tmp_path,
        "pgan-prepare-tfrecords",
        "--source=synthetic",
        "--num_images=16",
        "--resolution=4",
        "--output=shapes",
    )
    assert "16, 4x4 RGB" in run(environment, tmp_path, "pgan-inspect-tfrecords", "info", "shapes")
    plan = ("--plan", "--flagfile=demo", "--resolution=8")  # a configuration in the package
    assert "8x8" in run(environment, tmp_path, "pgan-train", *plan)
    short = ("--fmap_max=4", "--batch_size=4", "--stabilize_kimg=0.008", "--total_kimg=0.008")
    run(environment, tmp_path, "pgan-train", "--data_dir=shapes", "--run_dir=run", *short)
    run(environment, tmp_path, "pgan-generate", "--network=run", "--output=out", "--num_images=2")
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
