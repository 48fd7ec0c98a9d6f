import pytest
from tensorflow.core.framework import graph_pb2

from tests.helpers.parser import end_this_process
from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted import graph_file
from tfrecords_tools.untrusted.graph_file import check_graph


@pytest.fixture
def file(tmp_path):
    (tmp_path / "x.pb").touch()
    return tmp_path / "x.pb"


def test_a_whole_graph_is_accepted(file):
    graph = graph_pb2.GraphDef(node=[graph_pb2.GraphDef().node.add(name="a", op="Const")])
    check_graph(graph.SerializeToString(), file)


@pytest.mark.parametrize("content", [b"\x0a\xff", b"\x0a" * 100_000, b"text"])
def test_a_damaged_graph_is_one_line(file, content):
    with pytest.raises(UserError, match=r"x\.pb: damaged: Error parsing message"):
        check_graph(content, file)


def test_a_graph_that_ends_a_process_ends_another_one(file, monkeypatch):
    monkeypatch.setattr(graph_file, "_parse", end_this_process)
    with pytest.raises(UserError, match=r"x\.pb: damaged: .* was ended by SIGSEGV"):
        check_graph(b"", file)
