"""ONNX Runtime Web's npm package, where `make browser` has put it."""

from pathlib import Path

from pgan_tf.exporting.web.runtime import check_runtime
from tfrecords_tools.errors import UserError

FOLDER = Path(__file__).parents[2] / ".browser"


def find_runtime() -> Path | None:
    """Return the folder of the unpacked package, or None where it is missing."""
    try:
        return check_runtime(FOLDER).parent
    except UserError:
        return None
