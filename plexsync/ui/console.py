"""A person's terminal: where the lines of an answer go, the bar below them, JSON, and how a command ends."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from plexsync import context
from plexsync.queue import database
from plexsync.ui import session, tasks
from plexsync.ui.arguments import WrongArgument

OK, FINDINGS, USAGE, UNUSABLE, INTERRUPTED = 0, 1, 2, 3, 130
INTERRUPTION = "Interrupted; pending jobs stay queued."
COLOURS = {"warning": "yellow", "error": "red"}
BAR_WIDTH = 30
OURS = ("queue", "spool", "connection.json")  # one of which is in every data folder


def as_json(value: object, indent: int | None = None) -> str:
    """JSON as standard output can carry it: in ASCII unless that is UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    return json.dumps(value, indent=indent, ensure_ascii=encoding.lower() not in ("utf-8", "utf8"))


def data_folder() -> str:
    """The data folder of the Stash this plugin is installed in, as far as that can be told without Stash.

    Stash keeps plugins below ``plugins`` in its folder unless told otherwise, and our data there too.
    """
    if not os.environ.get("STASH_PLUGIN_DATA"):
        for above in Path(__file__).resolve().parents:
            data = above / "plugins" / "PlexSync" / "data"
            if data.is_dir():
                return str(data)
    return database.data_folder()


class Console:
    """What every command is given: the session, and whether the answer is wanted as JSON."""

    def __init__(self, data_dir: str, as_json: bool) -> None:
        self.as_json = as_json
        self.one_line = False  # each JSON document
        self.session = session.Session(data_dir, say=self._say, progress=self._progress)
        self.chatty = context.wants_chatter() and not as_json
        self._bar = self.chatty and sys.stderr.isatty() and not context.is_dumb()
        self._bar_shown = False

    def say(self, text: str) -> None:
        """A line of the answer."""
        self._say("info", text)

    def _say(self, level: str, text: str) -> None:
        if self.as_json:
            return
        if level == "warning":
            self.aside(level, text)
        else:  # also bad news of the doctor's: it is what was asked for
            self.hide_bar()
            click.secho(text, fg=COLOURS.get(level))

    def aside(self, level: str, text: str) -> None:
        """A line on standard error."""
        self.hide_bar()
        click.secho(text, fg=COLOURS.get(level), err=True)

    def _progress(self, part: float) -> None:
        """A bar below what is printed, on a terminal only."""
        if not self._bar:
            return
        filled = round(min(max(part, 0.0), 1.0) * BAR_WIDTH)
        if filled == BAR_WIDTH:
            self.hide_bar()
        else:
            click.echo(f"\r{'█' * filled}{'░' * (BAR_WIDTH - filled)} {part:4.0%} ", nl=False, err=True)
            self._bar_shown = True

    def hide_bar(self) -> None:
        """Make room for a line."""
        if self._bar_shown:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._bar_shown = False

    def write(self, text: str) -> None:
        """Print a piece of an answer that is too long to be held."""
        self.hide_bar()
        click.echo(text, nl=False)

    def run(self, mode: str, args: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Run the task of this mode."""
        return tasks.TASKS[mode].run(self.session, args or {})

    def show(self, answer: object) -> None:
        """Print the answer, if it is wanted as JSON; a person has been told already."""
        if self.as_json:
            click.echo(as_json(answer, indent=None if self.one_line else 2))


class _Lines(logging.Handler):
    """What is logged meanwhile, between the lines of a command and never into its bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.aside(record.levelname.lower(), record.getMessage())


DATA = click.option("--data", metavar="FOLDER", help="The data folder, when it is not found by itself.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")


def options(command: Callable[..., int]) -> Callable[..., int]:
    """``--data`` and ``--json``, and one sentence with status 3 for what cannot be used."""

    def wrapped(data: str | None, as_json: bool, **given: Any) -> int:
        data, as_json = data or given_before("data"), as_json or given_before("as_json")
        console = Console(os.path.abspath(data or data_folder()), as_json)
        console.one_line = command.__name__ == "export"
        ours = logging.getLogger("plexsync")
        ours.handlers[:] = [_Lines(console)]
        ours.setLevel(logging.INFO if command.__name__ == "drain" and console.chatty else logging.ERROR)
        try:
            _require_folder(console.session.data_dir)
            return command(console, **given)
        except BrokenPipeError:  # for main to deal with
            raise
        except KeyboardInterrupt:
            console.hide_bar()
            console.show({"error": INTERRUPTION})
            return INTERRUPTED
        except session.TROUBLES as trouble:
            text = session.sentence(trouble, console.session.data_dir)
            if as_json:
                console.show({"error": text})
            else:
                console.aside("error", text)
            return status_of(trouble)
        finally:
            console.session.close()

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    return DATA(AS_JSON(wrapped))


def status_of(trouble: Exception) -> int:
    """The exit status one of TROUBLES ends with."""
    return USAGE if isinstance(trouble, WrongArgument) else UNUSABLE


def _require_folder(data_dir: str) -> None:
    """Raises NoFolder for what cannot be our data folder: an answer about another one would be about nothing."""
    if not os.path.isdir(data_dir):
        wrong = f"There is no data folder {data_dir}"
    elif not os.access(data_dir, os.R_OK | os.X_OK):
        raise session.NoFolder(f"You may not look into {data_dir}; be the user Stash runs as.")
    elif not any(os.path.exists(os.path.join(data_dir, name)) for name in OURS):
        wrong = f"{data_dir} is not PlexSync's data folder"
    else:
        return
    raise session.NoFolder(
        f"{wrong}; name it with --data. It lies in Stash's folder, in plugins/PlexSync/data, and is made by the first "
        "edit."
    )


def given_before(name: str) -> Any:
    """What was given of an option before the command: people put them there as well."""
    return click.get_current_context().find_root().params[name]
