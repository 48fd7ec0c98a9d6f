"""The doctor of a run: looks at every tick, and tells of trouble when it begins and when it ends.

Its memory is the run's metrics log, where its own figures are kept as well. So a run that is
continued, or has gone back, knows since when a trouble lasts.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.diagnosis.checks import CHECKS
from pgan_tf.diagnosis.courses import Course
from pgan_tf.diagnosis.findings import Finding, Subject
from pgan_tf.diagnosis.history import KEPT_TICKS, Tick, ticks_of
from pgan_tf.diagnosis.measurements import Measurements
from pgan_tf.diagnosis.remedies import command_with
from pgan_tf.distribution.out_of_memory import is_out_of_memory
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file
from tfrecords_tools.format import Pyramid
from tfrecords_tools.printable import say

FORMAT_VERSION = 1


class Doctor:
    """Finds trouble in a run, and writes it to the log and to `diagnosis.json`."""

    def __init__(
        self,
        config: TrainConfig,
        run: RunDirectory,
        schedule: Schedule,
        pyramid: Pyramid,
        state: TrainState,
        *,
        replicas: int,
    ):
        """Look at nothing yet.

        Args:
          config: with the values filled in that come from the data.
          run: the directory to write to.
          schedule: the run's.
          pyramid: the data.
          state: of the training; it is measured, and not changed.
          replicas: number of replicas that share a batch.
        """
        self._config = config
        self._run = run
        self._schedule = schedule
        self._subject = Subject(config, pyramid.count - config.data.validation_images)
        self._measurements: Measurements | None = Measurements(
            config, pyramid, state, replicas=replicas
        )
        self._forget()

    def _forget(self) -> None:
        self._ticks: list[Tick] = []
        self._courses = [Course(check) for check in CHECKS]
        self._gone: list[tuple[Finding, int]] = []

    def begin(self) -> None:
        """Take up the course of the run from its metrics log, without telling of it again."""
        self._forget()
        for tick in ticks_of(self._run.metrics_log.rows(), self._schedule):
            self._add(tick)
        self._write()

    def measure(self, phase: Phase, images_seen: int) -> dict[str, float]:
        """Measure both networks as they are now; nothing where that can't be done.

        Args:
          phase: without a fade.
          images_seen: real images shown so far.

        Returns:
          Scalars by tag.
        """
        if self._measurements is None:
            return {}
        try:
            return self._measurements.take(phase, images_seen)
        except (UserError, OSError) as error:  # of the data, which may be readable the next time
            logging.warning("diagnosis: not measured: %s", error)
        except Exception as error:
            reason = "too little memory" if is_out_of_memory(error) else repr(error)
            logging.warning("diagnosis: both networks are no longer measured: %s", reason)
            self._measurements = None
        return {}

    def look(self, phase: Phase, images_seen: int, scalars: Mapping[str, float]) -> str | None:
        """Look at a tick, and tell of trouble that begins or ends with it.

        Args:
          phase: of the tick's steps.
          images_seen: real images shown until then.
          scalars: of the tick, those of `measure` included.

        Returns:
          All trouble that lasts, in Markdown, if it has changed; else None.
        """
        began, ended = self._add(Tick(images_seen, phase, dict(scalars)))
        for finding in began:
            logging.warning("diagnosis: %s", finding.line)
        for finding in ended:
            say(f"diagnosis: {finding.name} has gone")
        if not began and not ended:
            return None
        self._write()
        lasting = [f"- **{finding.name}**: {finding.line}" for finding in self._lasting()]
        return "\n".join(lasting) or "Nothing is wrong any longer."

    def _add(self, tick: Tick) -> tuple[list[Finding], list[Finding]]:
        """Add a tick to the history; return the findings that begin and that end with it."""
        if self._ticks and self._ticks[-1].phase.index != tick.phase.index:
            del self._ticks[:-KEPT_TICKS]
        self._ticks.append(tick)
        began: list[Finding] = []
        ended: list[Finding] = []
        for course in list(self._courses):
            try:
                self._follow(course, tick, began, ended)
            except Exception as error:  # a mistake of ours, which must not end the run
                logging.warning("diagnosis: %s is no longer found: %r", course.check.name, error)
                self._courses.remove(course)
        return began, ended

    def _follow(
        self, course: Course, tick: Tick, began: list[Finding], ended: list[Finding]
    ) -> None:
        before = course.finding
        course.add(tick.images_seen, course.check.verdict(self._ticks, self._subject))
        if before is None and course.finding is not None:
            course.finding = self._with_command(course.finding, tick.images_seen)
            began.append(course.finding)
        elif before is not None and course.finding is None:
            ended.append(before)
            self._gone.append((before, tick.images_seen))

    def _with_command(self, finding: Finding, images_seen: int) -> Finding:
        command = command_with(
            self._config, finding.sign.flags, run=self._run.path, images_seen=images_seen
        )
        return dataclasses.replace(finding, command=command)

    def _lasting(self) -> Sequence[Finding]:
        return [course.finding for course in self._courses if course.finding is not None]

    def _write(self) -> None:
        """Write `diagnosis.json`, whole, or not at all if the disk is full."""
        content = {
            "format_version": FORMAT_VERSION,
            "findings": [_entry(finding) for finding in self._lasting()],
            "gone": [_entry(finding) | {"until": until} for finding, until in self._gone],
        }
        text = json.dumps(content, indent=2, ensure_ascii=False)
        try:
            with whole_file(self._run.diagnosis) as temporary:
                temporary.write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            logging.warning("%s can't be written: %s", self._run.diagnosis, error.strerror)


class NullDoctor:
    """Takes the place of the `Doctor` with `--nodiagnose`: finds nothing."""

    def __init__(self, run: RunDirectory):
        self._run = run

    def begin(self) -> None:
        """Remove earlier findings, which would never be taken back."""
        self._run.diagnosis.unlink(missing_ok=True)

    def measure(self, phase: Phase, images_seen: int) -> dict[str, float]:
        """Return nothing."""
        return {}

    def look(self, phase: Phase, images_seen: int, scalars: Mapping[str, float]) -> None:
        """Do nothing."""


def _entry(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "since": finding.since,
        "seen": finding.sign.seen,
        "advice": finding.sign.advice,
        "flags": dict(finding.sign.flags),
        "command": finding.command,
    }
