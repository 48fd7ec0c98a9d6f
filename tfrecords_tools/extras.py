"""Libraries that only some features need, installed by the project's extras."""

import importlib
from typing import Any

from tfrecords_tools.errors import UserError


def require(module: str, extra: str) -> Any:
    """Import a library of one of the project's extras.

    Args:
      module: the library's name.
      extra: the extra that installs it.

    Raises:
      UserError: the library is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"this needs {module}, which is not installed here ({error});"
            f" pip install 'pgan_tf[{extra}]' brings it"
        ) from error
