"""The background process: one a folder, its life, its end, and another one beside it when it is frozen."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from plexsync import __version__, hook
from plexsync.core import breaker
from plexsync.locks import FileLock
from plexsync.queue import database, events
from plexsync.queue.store import Store
from plexsync.sync import daemon

ROOT = Path(__file__).resolve().parents[3]
NOBODY_THERE = {
    "Scheme": "http",
    "Host": "127.0.0.1",
    "Port": 1,
    "SessionCookie": {"Value": "cookie-of-the-user"},
}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and sessions are POSIX's")


def wait_for(what, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain")


def begins(data):
    log = data / "plexsync.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split("worker ")[1].split()[0]) for line in lines if " begins" in line]


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    yield folder
    for pid in begins(folder):
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def queue_one(data, scene_id=1):
    hook.keep(str(data), events.new_event(scene_id, "update", ["title"]))
    hook.remember(str(data), NOBODY_THERE)


def test_waking_twice_starts_one_worker_in_a_session_of_its_own(data):
    queue_one(data)
    assert hook.wake_worker(str(data))
    assert not hook.wake_worker(str(data))
    (pid,) = wait_for(lambda: begins(data))
    assert os.getsid(pid) == pid
    for fd in (0, 1, 2):
        target = os.readlink(f"/proc/{pid}/fd/{fd}")
        assert target in (os.devnull, str(data / "plexsync.log"))
    assert "cookie-of-the-user" not in Path(f"/proc/{pid}/cmdline").read_text()
    assert "cookie-of-the-user" not in Path(f"/proc/{pid}/environ").read_text()


def test_eight_wakes_at_the_same_instant_start_one_worker(data):
    queue_one(data)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from plexsync import hook; sys.stdin.read(); "
    code += f"sys.exit(0 if hook.wake_worker({str(data)!r}) else 7)"
    children = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) for _ in range(8)]
    time.sleep(0.5)
    for child in children:
        child.stdin.close()
    assert sorted(child.wait(20) for child in children) == [0] + [7] * 7
    wait_for(lambda: begins(data))
    time.sleep(0.5)
    assert len(begins(data)) == 1


def test_what_a_worker_leaves_readable_holds_no_cookie_for_others(data):
    queue_one(data)
    hook.wake_worker(str(data))
    wait_for(lambda: "not reachable" in (data / "plexsync.log").read_text() if begins(data) else False)
    for path in data.rglob("*"):
        if path.is_file() and b"cookie-of-the-user" in path.read_bytes():
            assert path.name == "connection.json"
            assert path.stat().st_mode & 0o077 == 0


def test_a_killed_worker_frees_the_lock_and_the_next_one_starts(data):
    queue_one(data)
    hook.wake_worker(str(data))
    (pid,) = wait_for(lambda: begins(data))
    os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: hook.wake_worker(str(data)))
    assert wait_for(lambda: len(begins(data)) == 2)


def test_told_to_stop_it_is_gone_in_time_and_the_job_waits_untried(data):
    queue_one(data)
    hook.wake_worker(str(data))
    (pid,) = wait_for(lambda: begins(data))
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not is_alive(pid), seconds=8)
    with Store(data) as store:
        (job,) = store.waiting()
        assert job.attempts == 0


def test_told_to_stop_while_it_asks_a_server_that_hangs_it_is_gone_in_time(data):
    queue_one(data)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook.remember(str(data), {**NOBODY_THERE, "Port": silent.getsockname()[1]})
        with Store(data) as store:  # the probe is due: it hangs, and no job is in hand
            due = breaker.Breaker(breaker.State.OPEN, 3, time.time() - 9, time.time() - 1, 4.0)
            store.state.save_breaker("Stash", breaker.to_dict(due))
        hook.wake_worker(str(data))
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            (pid,) = begins(data)
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not is_alive(pid), seconds=8)
    with Store(data) as store:
        (job,) = store.waiting()
        assert job.attempts == 0


def test_told_to_stop_while_the_file_is_locked_it_is_gone_in_time(data):
    queue_one(data)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook.remember(str(data), {**NOBODY_THERE, "Port": silent.getsockname()[1]})
        hook.wake_worker(str(data))
        silent.settimeout(20)
        connection, _ = silent.accept()  # a job is in hand, and Stash does not answer
        with connection, closing(sqlite3.connect(database.queue_file(str(data)), isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            (pid,) = begins(data)
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not is_alive(pid), seconds=8)
    with Store(data) as store:
        store.upkeep.recover()
        assert store.counts().pending == 1


def test_beside_a_frozen_worker_another_one_starts(data, monkeypatch):
    queue_one(data)
    hook.wake_worker(str(data))
    (pid,) = wait_for(lambda: begins(data))
    os.kill(pid, signal.SIGSTOP)
    try:
        assert not hook.wake_worker(str(data)), "it may only be slow"
        monkeypatch.setattr(hook, "FROZEN_S", 0.2)
        time.sleep(0.3)
        assert hook.wake_worker(str(data))
        assert wait_for(lambda: len(begins(data)) == 2)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_it_ends_when_nothing_waits(data):
    """With nothing queued and a short linger it goes by itself, and leaves the lock free."""
    Store(data).close()
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from plexsync.sync import daemon, worker\n"
        "from plexsync.core.settings import Settings\n"
        "plain = worker.Worker.__init__\n"
        "def brief(self, *given):\n"
        "    plain(self, *given)\n"
        "    self.outages.settings = Settings(worker_linger_s=0.3)\n"
        "worker.Worker.__init__ = brief\n"
        f"sys.exit(daemon.serve({str(data)!r}))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=20, check=False).returncode == 0
    lock = FileLock(str(data / "worker.lock"))
    assert lock.take()
    lock.release()
    assert "ends" in (data / "plexsync.log").read_text()


def test_connection_data_is_written_for_this_user_alone(data):
    hook.remember(str(data), NOBODY_THERE)
    path = data / "connection.json"
    assert json.loads(path.read_text()) == NOBODY_THERE
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def plugin(tmp_path):
    """A copy of the plugin that may be changed, and what upgrades it as Stash does."""
    folder = tmp_path / "plugin"
    shutil.copytree(ROOT / "plexsync", folder / "plexsync", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "PlexSync.py", folder)
    return folder


def upgrade(plugin):
    version = plugin / "plexsync" / "__init__.py"
    text = version.read_text()
    version.unlink()
    version.write_text(text.replace(f'__version__ = "{__version__}"', '__version__ = "99.0"'))


def start(data, *command):
    packages = os.pathsep.join(sys.path)
    return subprocess.Popen([sys.executable, *command], env={**os.environ, "PYTHONPATH": packages}, cwd=data)


def test_an_upgrade_under_it_makes_it_go_on_as_the_new_version(data, plugin):
    queue_one(data)
    process = start(data, plugin / "PlexSync.py", "worker", "--data", data)
    try:
        wait_for(lambda: begins(data))
        upgrade(plugin)
        assert wait_for(lambda: "of PlexSync 99.0 begins" in (data / "plexsync.log").read_text())
        assert begins(data) == [process.pid, process.pid], "the same process, which never let go of the lock"
        assert not FileLock(str(data / "worker.lock")).take()
    finally:
        process.kill()
        process.wait()


def test_where_a_program_cannot_become_another_an_upgrade_starts_one(data, plugin):
    """As on Windows, where exec is a new process without our descriptors."""
    queue_one(data)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from plexsync.sync import daemon; "
    code += "daemon._Code.begin_anew = lambda *_: None; daemon.serve(sys.argv[2])"
    process = start(data, "-c", code, plugin, data)
    wait_for(lambda: begins(data))
    upgrade(plugin)
    assert process.wait(30) == 0
    assert wait_for(lambda: "of PlexSync 99.0 begins" in (data / "plexsync.log").read_text())
    first, second = begins(data)
    assert first == process.pid and is_alive(second)


def test_once_the_plugin_is_uninstalled_its_worker_ends(data, plugin):
    queue_one(data)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from plexsync.sync import daemon; "
    code += "daemon.UPGRADE_S = 2; daemon.serve(sys.argv[2])"
    process = start(data, "-c", code, plugin, data)
    wait_for(lambda: begins(data))
    shutil.rmtree(plugin)
    assert process.wait(30) == 0
    assert "upgraded" not in (data / "plexsync.log").read_text() and len(begins(data)) == 1
    with Store(data) as store:
        assert store.counts().pending == 1, "a new installation finds it"


def test_a_lock_that_was_not_handed_over_is_taken(data):
    """A descriptor of something else, as when a person tries the option, is no lock."""
    lock = FileLock(str(data / "worker.lock"))
    assert lock.take()
    done = start(data, ROOT / "PlexSync.py", "worker", "--data", data, "--lock-fd", "1")
    assert done.wait(20) == 0
    assert begins(data) == []


def test_the_log_is_for_this_user_alone_and_goes_on_where_it_cannot_be_renamed(data, monkeypatch):
    monkeypatch.setattr(daemon, "LOG_BYTES", 100)
    handler = daemon.log_file(str(data))
    path, before = data / "plexsync.log", os.umask(0)
    try:
        for number in range(5):
            if number == 3:  # Windows, where somebody has it open
                monkeypatch.setattr(os, "rename", refuse)
            handler.emit(logging.makeLogRecord({"msg": f"line {number} {'x' * 100}", "levelname": "INFO"}))
    finally:
        os.umask(before)
        handler.close()
    assert "line 3" in path.read_text() and "line 4" in path.read_text()
    assert "line 2" in (data / "plexsync.log.1").read_text() + path.read_text()
    assert {each.stat().st_mode & 0o777 for each in data.glob("plexsync.log*")} == {0o600}


def refuse(*_):
    raise PermissionError
