"""Where we run, told by terminal and environment."""

from __future__ import annotations

import io
import os

import pytest

from plexsync.context import CI_MARKS, PREFIXES_NAME, is_ci, is_hook_context, wants_chatter


@pytest.fixture
def terminal():
    """The slave's end of a real terminal."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as stdin:
        yield stdin
    os.close(master)


def test_a_person_at_a_terminal(terminal):
    assert not is_hook_context(terminal, {})
    assert wants_chatter(terminal, {})


def test_a_pipe_a_file_and_nothing_at_all(tmp_path):
    read, write = os.pipe()
    with os.fdopen(read) as pipe:
        assert is_hook_context(pipe, {})
    os.close(write)
    with (tmp_path / "f").open("w+") as file:
        assert is_hook_context(file, {})
    closed = io.StringIO()
    closed.close()
    assert is_hook_context(closed, {})
    assert not wants_chatter(closed, {})


def test_what_stash_sets(terminal):
    assert is_hook_context(terminal, {"STASH_PLUGIN_DATA": "/x"})


def test_other_prefixes(terminal):
    assert not is_hook_context(terminal, {"STASH_PLUGIN_DATA": "/x"}, prefixes=["MINE_"])
    assert is_hook_context(terminal, {"MINE_1": ""}, prefixes=["MINE_"])
    assert not is_hook_context(terminal, {"MINE_1": ""}, prefixes=[])


def test_prefixes_named_in_the_environment_come_on_top(terminal):
    named = {PREFIXES_NAME: "MINE_, ,CRON"}
    assert not is_hook_context(terminal, named)
    assert is_hook_context(terminal, {**named, "MINE_1": ""})
    assert is_hook_context(terminal, {**named, "CRONTAB": ""})
    assert is_hook_context(terminal, {**named, "STASH_PLUGIN_DATA": "/x"})
    assert not is_hook_context(terminal, {**named, "OTHER": ""})
    assert not is_hook_context(terminal, {PREFIXES_NAME: "PLEXSYNC_QUIET"})  # it does not mean itself


@pytest.mark.parametrize("mark", CI_MARKS)
def test_build_services(terminal, mark):
    assert is_hook_context(terminal, {mark: "true"})
    assert not is_hook_context(terminal, {mark: "false"})
    assert not is_ci({mark: ""})
    assert is_ci({mark: "1"})
