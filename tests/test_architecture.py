"""The rules of docs/architecture.md, held against the code's own imports."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for package in ("pgan_tf", "tfrecords_tools") for path in (ROOT / package).rglob("*.py")
)
PGAN_SOURCES = [path for path in SOURCES if path.is_relative_to(ROOT / "pgan_tf")]


def imports(path):
    """Every module that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def documented_order():
    text = (ROOT / "docs" / "architecture.md").read_text()
    return [
        name.rstrip("/").removesuffix(".py")
        for name in re.findall(r"^\| `(\w+(?:\.py|/))` \| [^|\s]", text, re.M)
    ]


def place(path):
    """The name by which a file of pgan_tf stands in the documented order."""
    return path.relative_to(ROOT / "pgan_tf").parts[0].removesuffix(".py")


def test_every_file_of_the_trainer_has_its_place_in_the_documented_order():
    assert {place(path) for path in PGAN_SOURCES} - {"__init__"} == set(documented_order())


@pytest.mark.parametrize("path", PGAN_SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_import_only_from_below(path):
    order = documented_order()
    if path == ROOT / "pgan_tf" / "__init__.py":
        return  # it stands above all of them
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "pgan_tf" and len(parts) > 1 and parts[1] in order:
            above = order.index(parts[1]) < order.index(place(path))
            assert not above, f"{path} imports {module}, which stands above it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 400


def test_pyramids_know_nothing_of_the_trainer_and_start_without_tensorflow():
    for path in SOURCES:
        if path.is_relative_to(ROOT / "tfrecords_tools"):
            assert not any(module.split(".")[0] == "pgan_tf" for module in imports(path)), path
            # Where a source needs it, it is imported where it is used.
            top = [
                n
                for n in ast.parse(path.read_text()).body
                if isinstance(n, ast.Import | ast.ImportFrom)
            ]
            names = [getattr(n, "module", None) or n.names[0].name for n in top]
            assert not any(name.startswith(("tensorflow", "keras")) for name in names), path


def test_metrics_know_nothing_of_the_trainer():
    for path in PGAN_SOURCES:
        for module in imports(path) if place(path) == "metrics" else ():
            assert not module.startswith("pgan_tf.") or module.startswith("pgan_tf.metrics"), path


def test_configuration_and_schedule_need_the_standard_library_alone():
    for path in PGAN_SOURCES:
        for module in imports(path) if place(path) in ("config", "schedule", "cost") else ():
            top = module.split(".")[0]
            assert top == "pgan_tf" or top in sys.stdlib_module_names, module


def test_only_flags_and_commands_touch_absl_flags():
    for path in PGAN_SOURCES:
        if place(path) not in ("cli", "flags"):
            assert "absl.flags" not in imports(path), path
