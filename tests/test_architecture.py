"""The rules of docs/development/architecture.md, held against the code's own imports."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "development" / "architecture.md"
PACKAGES = ("pgan_tf", "tfrecords_tools")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
INITS = [ROOT / package / "__init__.py" for package in PACKAGES]


def imports(path):
    """Every module that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def section(heading):
    return re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)[1]


def documented_rooms(package):
    """The rooms of a package, from the top down."""
    return re.findall(r"^\| `(\w+)/` \| [^|\s]", section(f"`{package}/`"), re.M)


def common_ground():
    """Rooms and modules of tfrecords_tools that pgan_tf may import, from the top down."""
    shared = section("`tfrecords_tools/`").partition("| shared with the trainer")[2]
    return re.findall(r"^\| `(\w+)(?:/|\.py)` \| [^|\s]", shared, re.M)


def modules_beside_rooms(package):
    return re.findall(r"^\| `(\w+\.py)` \| [^|\s]", section(f"`{package}/`"), re.M)


def room(path):
    """The folder of its package that a file is in; for a file beside the rooms, its own name."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def rooms_imported(path, package):
    """Pairs of a module and the room of `package` that it is in."""
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == package and len(parts) > 1:
            yield module, parts[1]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_holds_the_documented_rooms_and_nothing_else(package):
    entries = {path.name for path in (ROOT / package).iterdir() if path.name != "__pycache__"}
    others = {"__init__.py", "py.typed", "configs"}  # the link to configs/ holds no code
    assert entries - others == {*documented_rooms(package), *modules_beside_rooms(package)}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_says_what_is_in_it(package):
    for name in documented_rooms(package):
        tree = ast.parse((ROOT / package / name / "__init__.py").read_text())
        assert len(ast.get_docstring(tree) or "") > 80, name


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_import_only_from_below(path):
    if path in INITS:
        return  # they stand above all rooms
    package = path.relative_to(ROOT).parts[0]
    order = documented_rooms(package)
    order += [name.removesuffix(".py") for name in modules_beside_rooms(package)]
    for module, imported in rooms_imported(path, package):
        if imported in order and room(path) in documented_rooms(package):
            above = order.index(imported) < order.index(room(path))
            assert not above, f"{path} imports {module}, which stands above it"
        if room(path) in common_ground():
            assert imported in common_ground(), f"{path} imports {module}, of a room"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 400


def test_the_trainer_uses_of_the_tools_the_format_and_the_common_ground_alone():
    shared = {"format", *common_ground()}
    for path in SOURCES:
        if path.is_relative_to(ROOT / "pgan_tf"):
            for module, imported in rooms_imported(path, "tfrecords_tools"):
                assert imported in shared, f"{path} imports {module}"


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


def test_metrics_import_no_other_room():
    for path in (ROOT / "pgan_tf" / "metrics").rglob("*.py"):
        for module, imported in rooms_imported(path, "pgan_tf"):
            assert imported == "metrics", f"{path} imports {module}"


def test_configuration_schedule_layer_table_and_cost_need_the_standard_library_alone():
    shape = ROOT / "tfrecords_tools" / "shape.py"
    config = (ROOT / "pgan_tf" / "config").rglob("*.py")
    networks = [ROOT / "pgan_tf" / "networks" / name for name in ("layer_table.py", "cost.py")]
    for path in [*config, *networks, ROOT / "pgan_tf" / "planning" / "step_memory.py", shape]:
        if path.name == "flags.py":
            continue
        for module in imports(path):
            top = module.split(".")[0]
            ours = top == "pgan_tf" or module.startswith("tfrecords_tools.shape")
            assert ours or top in sys.stdlib_module_names, f"{path} imports {module}"


def test_only_flags_and_commands_touch_absl_flags():
    for path in SOURCES:
        allowed = room(path) == "cli" or path == ROOT / "pgan_tf" / "config" / "flags.py"
        if path.is_relative_to(ROOT / "pgan_tf") and not allowed:
            assert "absl.flags" not in imports(path), path
