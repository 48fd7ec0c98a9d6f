"""Frozen graphs of TensorFlow that others have saved (`.pb`), parsed in another process first."""

import functools
import importlib.util
import sys
import types
from pathlib import Path

from tfrecords_tools.untrusted.isolated import run_isolated


def check_graph(content: bytes, path: Path) -> None:
    """Parse a graph in another process, which may end by it.

    Args:
      content: the graph's bytes, a serialized GraphDef.
      path: of the file that it is from.

    Raises:
      UserError: it is damaged, or takes too much memory.
    """
    run_isolated(functools.partial(_parse, content), path)


def _parse(content: bytes, path: Path) -> None:
    # TensorFlow's messages stand by themselves, but importing one would import all of TensorFlow,
    # which takes seconds. So an empty package takes its place in this process.
    spec = importlib.util.find_spec("tensorflow")
    package = types.ModuleType("tensorflow")
    package.__path__ = list((spec and spec.submodule_search_locations) or ())
    sys.modules["tensorflow"] = package
    from tensorflow.core.framework import graph_pb2

    for node in graph_pb2.GraphDef.FromString(content).node:
        str(node.name), list(node.input), dict(node.attr)
