"""Generators on Hugging Face's hub: `hf://user/name`, downloaded into its client's cache."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require
from tfrecords_tools.printable import printable

SCHEME = "hf://"
GENERATOR_NAME = "generator.keras"
EXTRA = "hub"
LOGIN = "log in by `hf auth login`, or set HF_TOKEN"

# As the hub allows names, without what its client refuses: `..`, `--`, an end in `.git`.
_PART = r"(?!.*(?:\.\.|--))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}(?<!\.git)")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")
# A path of a URL has lost one of its slashes.
_LOCATION = re.compile(r"hf:/{1,2}(?P<rest>.*)", re.S)
# 16 times a generator of 1024x1024 with four times the paper's feature maps.
_MAX_BYTES = 1 << 35


class HubName(NamedTuple):
    """A repository on the hub.

    Attributes:
      repository: its name, `user/name`.
      revision: a branch, a tag or a commit; None for the branch `main`.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return it as it is typed."""
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"{SCHEME}{self.repository}{revision}"


def is_on_hub(network: str | os.PathLike) -> bool:
    """Return whether a network is one of the hub rather than a path."""
    return _LOCATION.fullmatch(os.fspath(network)) is not None


def parse_hub_name(network: str | os.PathLike) -> HubName:
    """Return the name in `hf://user/name` or `hf://user/name@revision`.

    Raises:
      UserError: it is no such name.
    """
    match = _LOCATION.fullmatch(os.fspath(network))
    repository, at, revision = (match["rest"] if match else "").partition("@")
    fits = _REPOSITORY.fullmatch(repository) and (not at or _is_revision(revision))
    if not fits:
        raise UserError(
            f"a network on the hub must be {SCHEME}user/name or {SCHEME}user/name@revision. "
            f"Received: {printable(os.fspath(network))}"
        )
    return HubName(repository, revision if at else None)


def require_repository(repository: str, flag: str) -> None:
    """Refuse a name of a repository that the hub would refuse.

    Raises:
      UserError: names the flag.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UserError(f"--{flag} must be user/name, as on the hub. Received: {repository}")


def _is_revision(revision: str) -> bool:
    return _REVISION.fullmatch(revision) is not None and ".." not in revision


def fetch_generator(network: str | os.PathLike) -> Path:
    """Download a generator of the hub, unless its newest version is in the client's cache.

    Without a connection, the version in the cache is taken.

    Args:
      network: `hf://user/name`, or with `@revision`.

    Returns:
      The path of `generator.keras` in the cache; its content is a stranger's.

    Raises:
      UserError: there is no such name, repository, revision or file, access is refused, the hub
        can't be reached, or the file is larger than any generator.
    """
    name = parse_hub_name(network)
    hub = require("huggingface_hub", EXTRA)
    url = hub.hf_hub_url(name.repository, GENERATOR_NAME, revision=name.revision)
    try:
        with one_line_errors(str(name)):
            size = hub.get_hf_file_metadata(url).size
        if size is not None and size > _MAX_BYTES:
            raise UserError(
                f"{name}: its {GENERATOR_NAME} must hold at most {_MAX_BYTES} bytes. Received: "
                f"{size}"
            )
    except HubUnreachableError:
        found = hub.try_to_load_from_cache(name.repository, GENERATOR_NAME, revision=name.revision)
        if not isinstance(found, str):
            raise
        return Path(found)
    with one_line_errors(str(name)):
        return Path(hub.hf_hub_download(name.repository, GENERATOR_NAME, revision=name.revision))


class HubUnreachableError(UserError):
    """There is no connection to the hub."""


@contextlib.contextmanager
def one_line_errors(where: str) -> Iterator[None]:
    """Turn what the hub's client raises in the block into errors of one line.

    Args:
      where: begins the line: the repository.

    Raises:
      UserError: the hub refused something, or could not be reached.
    """
    kinds = require("huggingface_hub.errors", EXTRA)
    # Errors of connections are of the HTTP library that this version of the client uses.
    of_library = next(base for base in kinds.HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    try:
        yield
    except UserError:
        raise
    except kinds.HfHubHTTPError as error:
        raise UserError(f"{where}: {_refusal(error, kinds)}") from error
    except (kinds.OfflineModeIsEnabled, of_library, ConnectionError, TimeoutError) as error:
        if getattr(error, "response", None) is not None:  # as earlier versions refuse a token
            raise UserError(f"{where}: {_refusal(error, kinds)}") from error
        raise _unreachable(where, error) from error
    except kinds.HFValidationError as error:
        raise UserError(f"{where}: not a name that the hub allows: {one_line(error)}") from error
    except (kinds.LocalEntryNotFoundError, kinds.FileMetadataError) as error:
        raise _unreachable(where, error) from error
    except OSError as error:
        if error.errno is not None:  # of this machine: a full disk, a cache that can't be written
            raise UserError(
                f"{where}: {error.filename or 'the cache'}: {error.strerror}"
            ) from error
        raise _unreachable(where, error) from error


def _unreachable(where: str, error: Exception) -> HubUnreachableError:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return HubUnreachableError(
            f"{where}: not in the cache of the hub's client, and HF_HUB_OFFLINE forbids to ask the "
            "hub; unset it"
        )
    return HubUnreachableError(
        f"{where}: {constants.ENDPOINT} can't be reached ({one_line(error)}); check the network "
        "connection, or a proxy"
    )


def _refusal(error: Any, kinds: Any) -> str:
    """Return a phrase on what the hub refused."""
    status = error.response.status_code
    if isinstance(error, kinds.GatedRepoError):
        return f"access is restricted; ask for it on the repository's page, then {LOGIN}"
    if isinstance(error, kinds.RevisionNotFoundError):
        return "no such revision: a branch, a tag or a commit of the repository is needed"
    if isinstance(error, kinds.EntryNotFoundError):
        return f"no {GENERATOR_NAME} in it, which `pgan-export --format=hub` writes"
    if isinstance(error, kinds.RepositoryNotFoundError):
        return f"no such repository, or a private one; check the name, and {LOGIN}"
    reason = one_line(getattr(error, "server_message", None) or error)
    if status == 401:
        return f"the hub does not accept this token, or needs one ({reason}); {LOGIN}"
    if status == 403:
        return f"the hub refused access ({reason}); the token must be allowed to do this"
    return f"the hub answered {status}: {reason}"


def one_line(error: object) -> str:
    """Return an error's text as one line of at most 200 characters."""
    return printable(" ".join(str(error).split()))[:200] or type(error).__name__
