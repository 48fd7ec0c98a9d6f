"""The declarations of all sources, against each other and the files of the room."""

import importlib
import pkgutil

import pytest

from tfrecords_tools import sources
from tfrecords_tools.sources.registry import SOURCES, find_source, flags_by_source, is_source
from tfrecords_tools.sources.spec import SourceSpec

EXTRAS = {"hdf5", "lmdb", "svhn"}


def test_every_declared_source_is_registered_once():
    modules = [
        importlib.import_module(f"tfrecords_tools.sources.{module.name}")
        for module in pkgutil.iter_modules(sources.__path__)
    ]
    declared = [
        value for module in modules for value in vars(module).values() if type(value) is SourceSpec
    ]
    assert len(declared) == len(SOURCES)
    assert all(SOURCES[spec.name] is spec for spec in declared)


@pytest.mark.parametrize("name", sorted(flags_by_source()))
def test_sources_agree_on_a_flag_that_they_share(name):
    specs = list(flags_by_source()[name].values())
    assert len({(spec.kind, spec.default, spec.help, spec.minimum) for spec in specs}) == 1
    for spec in specs:
        assert bool(spec.choices) == (spec.kind == "choice")
        assert not spec.choices or spec.default in spec.choices
        assert spec.help.endswith((".", "...")) and not spec.note.endswith(".")


@pytest.mark.parametrize("spec", SOURCES.values(), ids=list(SOURCES))
def test_a_source_is_described_and_has_each_flag_once(spec):
    assert spec.description and not spec.description.endswith(".")
    assert len(spec.flag_names) == len(spec.flags)
    assert spec.extra is None or spec.extra in EXTRAS


def test_only_a_source_that_takes_an_argument_has_a_colon():
    assert [is_source(value) for value in ("images", "idx", "tfds:mnist", "tfds:")] == [True] * 4
    wrong = ("", "nonsense", "images:", "images:x", "tfds", "tfds_records", ":mnist")
    assert [is_source(value) for value in wrong] == [False] * len(wrong)
    assert find_source("tfds:mnist:test").name == "tfds"
    assert [spec.shown for spec in SOURCES.values() if spec.argument] == ["tfds:NAME[:SPLIT]"]
