"""Upload of a folder to Hugging Face's hub, by its own client and with its own login."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from pgan_tf.runs.hub import EXTRA, LOGIN, one_line, one_line_errors, require_repository
from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require


def check_push(repository: str) -> None:
    """Check, before any work, that somebody is logged in who may push.

    Raises:
      UserError: the name is malformed, the extra is not installed, there is no token, or one that
        the hub does not accept, or the hub can't be reached.
    """
    require_repository(repository, "push_to")
    hub = require("huggingface_hub", EXTRA)
    if hub.get_token() is None:
        raise UserError(f"--push_to={repository}: nobody is logged in on the hub; {LOGIN}")
    with one_line_errors(f"--push_to={repository}"):
        hub.HfApi().whoami()


def push_folder(folder: Path, names: Sequence[str], repository: str, *, private: bool) -> str:
    """Upload files of a folder as one commit, to a repository that is made if it is new.

    Args:
      folder: which stays as it is, whatever happens.
      names: of the files.
      repository: `user/name`.
      private: whether a new repository is private; one that exists must be.

    Returns:
      The repository's URL.

    Raises:
      UserError: the hub refused it, or could not be reached.
    """
    require_repository(repository, "push_to")
    hub = require("huggingface_hub", EXTRA)
    where = f"--push_to={repository}"
    api = hub.HfApi()
    try:
        with one_line_errors(where):
            url = api.create_repo(repository, private=private or None, exist_ok=True)
            if private and not api.model_info(repository).private:
                raise UserError(
                    f"{where}: the repository exists and is public, which --private does not "
                    "change; make it private on its page, or name another"
                )
            api.upload_folder(
                repo_id=repository,
                folder_path=str(folder),
                allow_patterns=list(names),
                commit_message="Upload a generator of pgan_tf",
            )
    except KeyboardInterrupt:
        logging.warning("the upload was interrupted. %s", _complete(folder, repository))
        raise
    except UserError as error:
        raise UserError(f"{error}. {_complete(folder, repository)}") from error
    except (ValueError, RuntimeError) as error:  # a card that is refused; errors of transfers
        cause = "" if error.__cause__ is None else f" ({one_line(error.__cause__)})"
        raise UserError(
            f"{where}: the upload failed: {one_line(error)}{cause}. {_complete(folder, repository)}"
        ) from error
    return str(url)


def _complete(folder: Path, repository: str) -> str:
    command = shlex.join(["hf", "upload", repository, str(folder)])
    return f"The folder is complete; to upload it later: {command}"
