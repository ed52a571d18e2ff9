"""Where this process runs: inside Stash, by a person at a terminal, or in somebody's automation.

Inside Stash every line on standard error is a line in Stash's log, and standard output is the answer; so nothing may be
said there that was not asked for. A person wants to see what happens.
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


def is_ci(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a build service runs us."""
    environ = os.environ if environ is None else environ
    return any(environ.get(mark, "").lower() not in ("", "0", "false") for mark in CI_MARKS)


def is_hook_context(
    stdin: IO[Any] | None = None,
    environ: Mapping[str, str] | None = None,
    prefixes: Iterable[str] = HOOK_PREFIXES,
) -> bool:
    """Whether to be silent: no person watches.

    True when a variable of the environment begins with one of ``prefixes``, when a build service runs us, or when
    standard input is not a terminal: closed, a pipe, a file.
    """
    environ = os.environ if environ is None else environ
    if any(name.startswith(tuple(prefixes)) for name in environ) or is_ci(environ):
        return True
    stdin = sys.stdin if stdin is None else stdin
    try:
        return stdin is None or not stdin.isatty()
    except ValueError:  # it was closed
        return True


def wants_chatter(stdin: IO[Any] | None = None, environ: Mapping[str, str] | None = None) -> bool:
    """Whether somebody would like to see progress and colours."""
    return not is_hook_context(stdin, environ)
