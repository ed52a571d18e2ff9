"""Where this process runs: inside Stash, by a person at a terminal, or in somebody's automation.

Inside Stash every line on standard error is a line in Stash's log, and standard output is the answer; so nothing may be
said there that was not asked for. A person wants to see what happens: ``cli`` shows bars and each job's line to a
person only, and ``sync_queue`` warns a person where it tells others in the log.

Whoever starts us in a way of his own names what marks it in PLEXSYNC_QUIET_PREFIXES: beginnings of names in the
environment, separated by commas.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any

# Set by the services that run tests and builds; GITHUB_ACTIONS, GITLAB_CI, TEAMCITY_VERSION, JENKINS_URL and others
# set CI or one of these as well.
CI_MARKS = ("CI", "CONTINUOUS_INTEGRATION", "BUILD_NUMBER", "TEAMCITY_VERSION", "TF_BUILD")
HOOK_PREFIXES = ("STASH_PLUGIN_",)  # Stash 0.30 sets STASH_PLUGIN_DATA for what it runs
PREFIXES_NAME = "PLEXSYNC_QUIET_PREFIXES"


def is_ci(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a build service runs us."""
    environ = os.environ if environ is None else environ
    return any(environ.get(mark, "").lower() not in ("", "0", "false") for mark in CI_MARKS)


def prefixes_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """HOOK_PREFIXES and those the environment adds."""
    added = environ.get(PREFIXES_NAME, "").split(",")
    return (*HOOK_PREFIXES, *(prefix.strip() for prefix in added if prefix.strip()))


def is_hook_context(
    stdin: IO[Any] | None = None,
    environ: Mapping[str, str] | None = None,
    prefixes: Iterable[str] | None = None,
) -> bool:
    """Whether to be silent: no person watches.

    True when a variable of the environment begins with one of ``prefixes`` (those of ``prefixes_of`` unless given),
    when a build service runs us, or when standard input is not a terminal: closed, a pipe with a hook in it, a file.
    """
    environ = os.environ if environ is None else environ
    marks = prefixes_of(environ) if prefixes is None else tuple(prefixes)
    if any(name.startswith(marks) for name in environ if name != PREFIXES_NAME) or is_ci(environ):
        return True
    stdin = sys.stdin if stdin is None else stdin
    try:
        return stdin is None or not stdin.isatty()
    except ValueError:  # it was closed
        return True


def wants_chatter(stdin: IO[Any] | None = None, environ: Mapping[str, str] | None = None) -> bool:
    """Whether somebody would like to see progress and colours."""
    return not is_hook_context(stdin, environ)


def is_dumb(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the terminal says it can neither colour nor erase."""
    return (os.environ if environ is None else environ).get("TERM") == "dumb"


def wants_colour(environ: Mapping[str, str] | None = None) -> bool:
    """Whether colours are welcome where there is a terminal: https://no-color.org says how one is told they are not."""
    environ = os.environ if environ is None else environ
    return not environ.get("NO_COLOR") and not is_dumb(environ)
