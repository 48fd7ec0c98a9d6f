"""Damaged files of every kind: read, or refused in one line; never a traceback or a dead process.

What once went wrong is kept in tests/data/damaged, in a folder for each kind.
"""

import random
import warnings
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.helpers.foreign_files import KINDS
from tfrecords_tools.errors import UserError

DAMAGED = Path(__file__).parent / "data" / "damaged"
KEPT = sorted(path for path in DAMAGED.glob("*/*") if path.is_file())
# The same changes every time, few where each takes a new process.
FAST = hypothesis.settings(derandomize=True, max_examples=100, deadline=None)
SLOW = hypothesis.settings(derandomize=True, max_examples=8, deadline=None)
FIXTURES_ARE_FINE = [hypothesis.HealthCheck.function_scoped_fixture]
SPECIAL = (0x00, 0x01, 0x7F, 0x80, 0xFF)


def read(kind, data, directory):
    """Read these bytes as a file of a kind; return the refusal, or nothing."""
    path = directory / kind.name
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kind.read(path)
        except UserError as error:
            assert str(error).strip()
            return error
    return None


@st.composite
def changes(draw):
    """A change of a file's bytes, wherever they end."""
    seed, how = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from(["bytes", "cut", "insert"]))

    def change(data):
        drawn = random.Random(seed)
        changed = bytearray(data)
        if how == "cut":
            del changed[drawn.randrange(len(changed)) :]
        elif how == "insert":
            at = drawn.randrange(len(changed))
            changed[at:at] = bytes(drawn.choices(SPECIAL, k=drawn.randint(1, 16)))
        else:
            # Headers decide, so that half of the changes are in the first bytes.
            end = min(len(changed), 512) if drawn.random() < 0.5 else len(changed)
            for _ in range(drawn.randint(1, 8)):
                value = drawn.choice([*SPECIAL, drawn.randrange(256)])
                changed[drawn.randrange(end)] = value
        return bytes(changed)

    return change


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_is_read(tmp_path, name):
    assert read(KINDS[name], KINDS[name].valid(), tmp_path) is None


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_that_once_went_wrong_is_refused(tmp_path, path):
    assert read(KINDS[path.parent.name], path.read_bytes(), tmp_path) is not None


def _fuzz(name, directory, settings):
    kind = KINDS[name]
    whole = kind.valid()

    @hypothesis.settings(settings, suppress_health_check=FIXTURES_ARE_FINE)
    @hypothesis.given(changes())
    def changed_anywhere(change):
        read(kind, change(whole), directory)

    changed_anywhere()


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.slow])
def test_a_changed_file_is_read_or_refused(tmp_path, name):
    _fuzz(name, tmp_path, FAST)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.slow])
def test_a_changed_file_of_a_foreign_library_is_read_or_refused(tmp_path, name):
    _fuzz(name, tmp_path, SLOW)
