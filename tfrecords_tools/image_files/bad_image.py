"""The error about one unusable image among many."""

from tfrecords_tools.errors import UserError


class BadImageError(UserError):
    """One unusable image, which `--skip_bad_images` leaves out.

    Attributes:
      name: the image's file, or the words by which the user can find it.
      reason: why it cannot be used.
    """

    def __init__(self, name: str, reason: str):
        """Pass both arguments to `Exception`, so that the error can be pickled."""
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"
