"""The hook over generated inputs: whatever odd but legal thing Stash sends, one row, one answer, within its budget.

The budget is in processor time, which means the same on a busy machine; ``benchmarks/queue.py`` measures the wall's.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from plexsync import hook, protocol
from plexsync.__main__ import NESTING_MAX
from plexsync.queue import database, events, layout

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "PlexSync.py")
EXAMPLES = int(os.environ.get("PLEXSYNC_EXAMPLES", "25"))
BUDGET_S = 0.04  # of processor time, beyond what an empty Python takes here
PER_MEGABYTE_S = 0.04  # reading and understanding what a cover or a list of ids adds

pytestmark = pytest.mark.skipif(
    not hasattr(os, "wait4"), reason="asks the system for a child's processor time"
)

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["\U0001f600\u200d\U0001f469", "\ud83d", "\udc00x", "a\x00b", "\x85"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from(sorted(hook.FIELDS)) | TEXTS
TYPES = st.sampled_from([*hook.UPDATE_TYPES, *hook.ENTITY_HOOKS, *hook.DELETED])


@st.composite
def inputs(draw):
    """What Stash might write on standard input, as bytes: some of it deep, some of it big."""
    context = {
        "type": draw(TYPES),
        "id": draw(st.integers(1, 2**63 - 1)),
        "input": draw(VALUES),
        "inputFields": draw(st.none() | st.lists(NAMES, max_size=5)),
    }
    text = json.dumps(
        {"args": {"hookContext": context, "more": draw(VALUES)}}, ensure_ascii=draw(st.booleans())
    )
    odd = draw(st.sampled_from(["plain"] * 6 + ["deep", "big"]))
    if odd == "deep":
        depth = draw(st.integers(1, 2_000))
        text = text[:-1] + ',"deep":' + "[" * depth + "]" * depth + "}"
    elif odd == "big":
        text = text[:-1] + ',"big":"' + "x" * draw(st.integers(0, 16_000_000)) + '"}'
    return text.encode("utf-8", "surrogatepass")


def run(command: list[str], stdin: bytes, folder: str) -> tuple[int, float, bytes]:
    """Status, processor time and answer of one process."""
    with tempfile.TemporaryFile() as given_, tempfile.TemporaryFile() as said:
        given_.write(stdin)
        given_.seek(0)
        environ = {**os.environ, "STASH_PLUGIN_DATA": folder}
        actions = [(os.POSIX_SPAWN_DUP2, given_.fileno(), 0), (os.POSIX_SPAWN_DUP2, said.fileno(), 1)]
        child = os.posix_spawn(command[0], command, environ, file_actions=actions)
        _, status, spent = os.wait4(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), spent.ru_utime + spent.ru_stime, said.read()


@pytest.fixture(scope="module")
def empty_s():
    """What an empty Python takes here."""
    return statistics.median(run([sys.executable, "-c", "pass"], b"", ".")[1] for _ in range(9))


def as_the_hook_does(stdin: bytes) -> protocol.Hook | protocol.Task | protocol.Problem:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(NESTING_MAX)
    try:
        return protocol.read_input(stdin)
    finally:
        sys.setrecursionlimit(before)


def kept(folder: str) -> list[tuple[str, int]]:
    path = database.queue_file(folder)
    if not os.path.exists(path):
        return []
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT key, status FROM {layout.TABLE}").fetchall()


@settings(max_examples=EXAMPLES, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
@given(stdin=inputs())
def test_whatever_stash_sends_is_one_row_and_one_answer_within_the_budget(stdin, empty_s):
    understood = as_the_hook_does(stdin)
    wanted = hook.event_of(understood) if isinstance(understood, protocol.Hook) else None
    with tempfile.TemporaryDirectory() as folder:
        runs = [run([sys.executable, SCRIPT], stdin, folder) for _ in range(3)]
        for status, _, said in runs:
            assert status == 0
            assert set(json.loads(said)) == (
                {"output"} if isinstance(understood, protocol.Hook) else {"error"}
            )
        assert kept(folder) == ([(events.key_of(wanted), 0)] if wanted else [])
        assert not os.path.exists(os.path.join(folder, "spool"))
    budget = BUDGET_S + PER_MEGABYTE_S * len(stdin) / 1e6
    assert min(spent for _, spent, _ in runs) - empty_s < budget
