"""A flag that takes the one number of a resolution, also where images are rectangles."""

from typing import Any

from absl import flags

from tfrecords_tools.shape import parse_size, split_size


class ResolutionParser(flags.IntegerParser):
    """Parser of a resolution: a number, not a width and a height."""

    def convert(self, argument: Any) -> int:
        """Return the number that a text stands for."""
        try:
            return super().convert(argument)
        except ValueError:
            size = parse_size(argument)
            split = split_size(*size) if size else None
            if split is None:
                raise
            raise ValueError(
                f"expected one number, {split[1]} for images of {argument}. Received: {argument}"
            ) from None
