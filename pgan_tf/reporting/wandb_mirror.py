"""Weights & Biases: a run's TensorBoard events, sent there while they are written.

W&B's own process reads the file of events as it grows, so training hands nothing over and waits for
nothing. All that can go wrong there ends in a warning, never in the end of a run.
"""

import contextlib
import dataclasses
import json
import os
import re
import secrets
import shlex
import string
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.config.options import table_text
from pgan_tf.runs.run_directory import RunDirectory
from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require
from tfrecords_tools.files import whole_file
from tfrecords_tools.printable import printable, say
from tfrecords_tools.untrusted.json_file import read_object

# Seconds that W&B may take to begin, and to send what is left at the end of a run.
_START_SECONDS = 20.0
_FINISH_SECONDS = 30.0
# Seconds in which its process must end when it is asked to.
_END_SECONDS = 5.0

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Characters that names of projects must not have, and how long they may be.
_NOT_IN_PROJECTS = re.compile(r"[/\\#?%:\x00-\x1f]")
_PROJECT_LENGTH = 128


def require_wandb() -> Any:
    """Import W&B's library.

    Raises:
      UserError: it is not installed.
    """
    # Reports about W&B itself would be sent from threads of this process, and print when they fail.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    return require("wandb", "wandb")


@contextlib.contextmanager
def mirrored_to_wandb(config: TrainConfig, run: RunDirectory) -> Iterator[None]:
    """Follow, with --wandb, the events of writers that are made in the block.

    A continued run continues its W&B run, which `wandb/run.json` in the run directory names. Where
    W&B can't be reached, or nobody is logged in, the same is kept in `wandb/` to be sent later.

    Args:
      config: with the values filled in that come from the data.
      run: the run directory, which exists.

    Raises:
      UserError: W&B's library is not installed.
    """
    mirror = _start(require_wandb(), config, run) if config.run.wandb else None
    if mirror is None:
        yield
        return
    try:
        yield
    except KeyboardInterrupt:  # the user has asked twice
        _stop(mirror.wandb)
        raise
    except BaseException:
        mirror.finish(exit_code=1)
        raise
    mirror.finish(exit_code=0)


@dataclasses.dataclass(frozen=True)
class _Identity:
    """The W&B run of a run directory.

    Attributes:
      id: names it within its project, for good.
      project: its project.
    """

    id: str
    project: str


@dataclasses.dataclass(frozen=True)
class _Mirror:
    """A W&B run that has begun.

    Attributes:
      wandb: W&B's library.
      run: its run.
    """

    wandb: Any
    run: Any

    def finish(self, *, exit_code: int) -> None:
        """Send what is left, within a time limit."""
        errors = []

        def send() -> None:
            try:
                self.run.finish(exit_code=exit_code)
            except Exception as error:
                errors.append(error)

        # W&B keeps its time limit, unless its process hangs.
        sending = threading.Thread(target=send, daemon=True)
        try:
            sending.start()
            sending.join(_FINISH_SECONDS + 5)
            if sending.is_alive():
                errors.append(TimeoutError("no answer"))
            if errors:
                _warn(f"not everything was sent, as TensorBoard has it: {_reason(errors[0])}")
                _stop(self.wandb)
            else:
                self.wandb.tensorboard.unpatch()
                end_process(self.wandb)
        except KeyboardInterrupt:
            _stop(self.wandb)
            raise


def _start(wandb: Any, config: TrainConfig, run: RunDirectory) -> _Mirror | None:
    """Begin or resume the W&B run; None, with a warning, if that fails."""
    exits = sys.exit, sys.excepthook
    wandb_run = None
    try:
        identity = _read_identity(run) or _new_identity(run)
        wandb_run, trouble = _begin(wandb, identity, run)
        _write_identity(run, identity)
        # After `init`, which takes the values of a resumed run in place of new ones.
        wandb_run.config.update(_settings(config), allow_val_change=True)
        wandb_run.define_metric("*", step_metric="global_step")
        _guard_writers(wandb_run)
    except Exception as error:
        _warn(f"not used, because it can't begin: {_reason(error)}")
        _stop(wandb)
        return None
    finally:
        sys.exit, sys.excepthook = exits  # W&B puts its own there
    if trouble:
        kept = shlex.quote(str(Path(wandb_run.dir).parent))
        _warn(f"{trouble}; the run goes on, and this sends it later: wandb sync {kept}")
    elif wandb_run.url:
        say(f"W&B: {wandb_run.url}")
    return _Mirror(wandb, wandb_run)


def _begin(wandb: Any, identity: _Identity, run: RunDirectory) -> tuple[Any, str]:
    """Return the W&B run, and why it is kept here alone; empty if it is as the user wants it."""
    directory = str(run.path.absolute())
    settings = wandb.Settings(
        console="off",  # stdout and stderr stay ours
        silent=True,  # and what there is to say is said in our words
        symlink=False,
        disable_git=True,
        disable_code=True,
        save_code=False,
        init_timeout=_START_SECONDS,
        finish_timeout=_FINISH_SECONDS,
    )
    session = wandb.setup(settings)
    # The directory is named, because W&B would wait for a second one for ten seconds. Its copies of
    # files of events are off: they would lie in this very directory, for TensorBoard to find.
    wandb.tensorboard.patch(save=False, root_logdir=directory)

    def init(**more: Any) -> Any:
        return wandb.init(
            id=identity.id,
            project=identity.project,
            name=os.environ.get("WANDB_NAME") or run.path.absolute().name,
            dir=directory,
            resume="allow",
            sync_tensorboard=True,
            settings=settings,
            **more,
        )

    if session.settings.mode not in ("online", "run"):
        return init(), ""
    # Without a prompt: the run may be one that nobody watches.
    if not wandb.login(prompt=False, verify=False):
        return init(mode="offline"), "not logged in (wandb login)"
    try:
        return init(), ""
    except Exception as error:
        end_process(wandb)  # to it, the run is in use
        return init(mode="offline"), f"can't be reached: {_reason(error)}"


def _guard_writers(wandb_run: Any) -> None:
    """Let W&B's faults pass by the writers of events, which tell it that they are made."""
    notify = getattr(wandb_run, "_tensorboard_callback", None)
    if notify is None:
        return

    def notify_safely(*arguments: Any, **named: Any) -> None:
        with contextlib.suppress(Exception):  # a warning follows at the end
            notify(*arguments, **named)

    wandb_run._tensorboard_callback = notify_safely


def _stop(wandb: Any) -> None:
    """End W&B's process and what it has begun in this one, without sending what is left."""
    with contextlib.suppress(Exception):
        process = wandb.setup()._connection._proc._process
        process.kill()
        process.wait(5)
    with contextlib.suppress(Exception):
        wandb.tensorboard.unpatch()
    end_process(wandb, exit_code=1)


def end_process(wandb: Any, exit_code: int = 0) -> None:
    """End W&B's process and what it has begun in this one; kill the process if it does not end.

    W&B itself waits for its process without a limit, at the latest when Python exits.

    Args:
      wandb: W&B's library.
      exit_code: 0 if all has gone well.
    """
    process = None
    with contextlib.suppress(Exception):
        process = wandb.setup()._connection._proc._process

    def tear_down() -> None:
        with contextlib.suppress(Exception, SystemExit):  # W&B exits with its process's exit code
            wandb.teardown(exit_code=exit_code)

    ending = threading.Thread(target=tear_down, daemon=True)
    ending.start()
    ending.join(_END_SECONDS)
    if ending.is_alive() and process is not None:
        process.kill()
        ending.join(_END_SECONDS)


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Return all options of a run by flag name; tables by resolution as their flags' text."""
    values: dict[str, Any] = {}
    for section in dataclasses.fields(config):
        for name, value in vars(getattr(config, section.name)).items():
            values[name] = table_text(value) if isinstance(value, Mapping) else value
    return values


def _new_identity(run: RunDirectory) -> _Identity:
    """Return an identity named after the run directory, or by W&B's environment variables."""
    letters = string.ascii_lowercase + string.digits
    new_id = "".join(secrets.choice(letters) for _ in range(8))
    project = os.environ.get("WANDB_PROJECT") or run.path.absolute().parent.name
    project = _NOT_IN_PROJECTS.sub("-", project)[:_PROJECT_LENGTH] or "pgan_tf"
    return _Identity(os.environ.get("WANDB_RUN_ID") or new_id, project)


def _identity_file(run: RunDirectory) -> Path:
    return run.path / "wandb" / "run.json"


def _read_identity(run: RunDirectory) -> _Identity | None:
    """Return the identity that the run directory has; None if it has none that can be used."""
    path = _identity_file(run)
    try:
        saved = read_object(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UserError) as error:
        _warn(f"a new run is begun, because {path} can't be read: {_reason(error)}")
        return None
    run_id, project = (str(saved.get(name, "")) for name in ("id", "project"))
    if _ID.fullmatch(run_id) and project and not _NOT_IN_PROJECTS.search(project):
        return _Identity(run_id, project)
    _warn(f"a new run is begun, because {path} names no W&B run")
    return None


def _write_identity(run: RunDirectory, identity: _Identity) -> None:
    path = _identity_file(run)
    path.parent.mkdir(exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(f"{json.dumps(dataclasses.asdict(identity))}\n", encoding="utf-8")


def _reason(error: Exception) -> str:
    """Return an error's text in one line; W&B's go over several."""
    lines = " ".join(str(error).split())
    return printable(lines or type(error).__name__)


def _warn(message: str) -> None:
    logging.warning("W&B: %s", message)
