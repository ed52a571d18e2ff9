"""Writes a history down while it happens, and tells whoever watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from scenarios.history import OK, UNKNOWN, Answer, Edit, Mark, Sample

Watcher = Callable[[Any], object]  # is told every Edit (asked, then answered), Mark and Sample


class NotDone(Exception):
    """A request to Stash that did not do what was asked; `outcome` is one of history's."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Recorder:
    """Safe to use from several threads; `now` is the world's wall clock."""

    def __init__(self, now: Callable[[], float], watcher: Watcher | None = None) -> None:
        self.now = now
        self.edits: list[Edit] = []
        self.marks: list[Mark] = []
        self.samples: list[Sample] = []
        self.answers: list[Answer] = []
        self.watcher = watcher or (lambda event: None)
        self._mutex = threading.Lock()

    @contextmanager
    def edit(
        self, kind: str, scene_ids: tuple[int, ...], fields: Mapping[str, Any], concerns_plex: bool = True
    ) -> Iterator[None]:
        """An edit that is asked for now and answered at the end of the block; NotDone inside says how it failed.

        What else is raised leaves the edit's outcome unknown.
        """
        with self._mutex:
            number = len(self.edits)
            edit = Edit(
                number, kind, scene_ids, dict(fields), self.now(), None, UNKNOWN, concerns_plex=concerns_plex
            )
            self.edits.append(edit)
        self.watcher(edit)
        try:
            yield
        except NotDone as why:
            edit = replace(edit, answered_at=self.now(), outcome=why.outcome, message=str(why))
        else:
            edit = replace(edit, answered_at=self.now(), outcome=OK)
        finally:
            with self._mutex:
                self.edits[number] = edit
            self.watcher(edit)

    def mark(self, kind: str, text: str, subject: str = "", at: float | None = None) -> None:
        mark = Mark(self.now() if at is None else at, kind, text, subject)
        with self._mutex:
            self.marks.append(mark)
        self.watcher(mark)

    def sample(self, sample: Sample) -> None:
        with self._mutex:
            self.samples.append(sample)
        self.watcher(sample)

    def answer(self, answer: Answer) -> None:
        with self._mutex:
            self.answers.append(answer)
