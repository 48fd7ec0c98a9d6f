"""What goes wrong by a user's mistake, as opposed to by a fault of the program."""


class UserError(ValueError):
    """A mistake that the user can mend: a wrong path, flag or file.

    The message is one line that names the file or flag, what was received and what would be right.
    Commands print it without a traceback and exit with its code.

    Attributes:
      exit_code: 2; kinds of errors that a caller should tell apart have others.
    """

    exit_code = 2
