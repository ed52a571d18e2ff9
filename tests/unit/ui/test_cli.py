"""The command line, as a person starts it: beside a worker, with JSON, and its exit statuses."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plexsync.context import CI_MARKS
from plexsync.locks import FileLock
from plexsync.queue.store import Store
from plexsync.ui import cli
from plexsync.ui import console as consoles

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = {"Scheme": "http", "Host": "127.0.0.1", "Port": 1, "SessionCookie": {"Value": "secret-cookie"}}


def plexsync(
    *args: object, data: Path | None = None, preexec_fn: Callable[[], None] | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """The command with no STASH_PLUGIN_DATA but the one given."""
    given = [*map(str, args), *(["--data", str(data)] if data else [])]
    clean = {name: value for name, value in os.environ.items() if name != "STASH_PLUGIN_DATA"}
    return subprocess.run(
        [sys.executable, str(ROOT / "PlexSync.py"), *given],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        env={**clean, **env},
        preexec_fn=preexec_fn,
        timeout=60,
        check=False,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


@pytest.fixture
def letters(store: Store) -> Store:
    """Two scenes given up, two waiting, one of them for later."""
    for scene_id, error_type in ((11, "NotFound"), (12, "Ambiguous")):
        store.enqueue(scene_id)
        job = store.claim()
        assert job is not None
        store.dead_letter(job, error_type, f"Scene {scene_id} is {error_type}.", "Traceback of it")
    store.enqueue(21, "update", ["title"])
    job = store.claim()
    assert job is not None
    store.postpone(job, store.clock.now() + 500, "Plex had a cold.", uses_attempt=True)
    store.enqueue(22, "create")
    return store


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[FileLock]:
    """A worker's lock that is held, so that no command starts a worker."""
    lock = FileLock(str(tmp_path / "worker.lock"))
    assert lock.take()
    yield lock
    lock.release()


def test_help_names_every_command_and_the_exit_statuses() -> None:
    done = plexsync("--help")
    assert done.returncode == 0
    for word in (*cli.cli.commands, "Exit status: 0 OK", "130 interrupted"):
        assert word in done.stdout


@pytest.mark.parametrize(
    "args",
    [
        ["bogus"],
        ["status", "--bogus"],
        ["dead", "x"],
        ["retry"],
        ["queue", "--limit", "x"],
        ["diff"],
        ["diff", "1", "--all"],
        ["reconcile", "--scope", "x"],
        ["choose", "x"],
        ["outages", "--bogus"],
        ["queue", "--limit", "0"],
        ["dead", "--", "-1"],
        ["diff", "99999999999999999999"],
        ["queue", "--limit", "1000001"],
        ["choose", "0"],
    ],
)
def test_a_wrong_command_line_is_status_2(args: list[str], store: Store, tmp_path: Path) -> None:
    done = plexsync(*args, data=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage:" in done.stderr and "Traceback" not in done.stderr
    done = plexsync("--json", *args, data=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    error = json.loads(done.stdout)["error"]
    assert error and "\n" not in error


def test_no_data_folder_is_status_3(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    done = plexsync("status", data=missing)
    assert done.returncode == 3
    assert f"There is no data folder {missing}; name it with --data." in done.stderr
    done = plexsync("status", "--json", data=missing)
    assert done.returncode == 3 and "no data folder" in json.loads(done.stdout)["error"]
    assert not missing.exists()


@pytest.mark.parametrize("command", ["status", "queue", "doctor", "drain", "diff 1", "export"])
def test_a_folder_of_something_else_is_no_data_folder(command: str, tmp_path: Path) -> None:
    """Stash's own, for one: it was said that nothing waits, and given a queue."""
    (tmp_path / "config.yml").touch()
    done = plexsync(*command.split(), data=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"{tmp_path} is not PlexSync's data folder; name it with --data.")
    assert os.listdir(tmp_path) == ["config.yml"]


def no_room() -> None:
    """Nothing can be written any more, as on a full disk; a file of no bytes can be made there too."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


LOOKS = ["status", "queue", "dead", "outages", "choose", "export"]


@pytest.mark.parametrize("command", [*LOOKS, "dead 1"])
def test_a_queue_that_cannot_be_written_is_looked_at(command: str, letters: Store, tmp_path: Path) -> None:
    letters.close()
    well = plexsync(*command.split(), "--json", data=tmp_path)
    stop_worker(tmp_path)
    done = plexsync(*command.split(), "--json", data=tmp_path, preexec_fn=no_room)
    assert (done.returncode, done.stderr) == (well.returncode, "")
    if command == "status":
        assert json.loads(done.stdout)["read_only"].startswith(f"The queue in {tmp_path} can only be read")
        assert json.loads(done.stdout)["pending"] == json.loads(well.stdout)["pending"] == 2
    elif command != "queue":  # which says in how many seconds
        assert done.stdout == well.stdout
    text = plexsync(*command.split(), data=tmp_path, preexec_fn=no_room)
    assert text.stderr.startswith(f"The queue in {tmp_path} can only be read: ")
    assert text.stderr.count("\n") == 1 and text.stdout


@pytest.mark.parametrize("command", ["retry --all", "drain", "choose 12"])
def test_what_writes_says_why_it_cannot(command: str, letters: Store, tmp_path: Path) -> None:
    letters.close()
    done = plexsync(*command.split(), data=tmp_path, preexec_fn=no_room)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith(f"The queue in {tmp_path} cannot be used: ")


def test_status(letters: Store, quiet: FileLock, tmp_path: Path) -> None:
    done = plexsync("status", data=tmp_path)
    assert done.returncode == 0
    assert "2 pending, 1 of them due later" in done.stdout and "2 dead letters" in done.stdout
    assert "A worker is running." in done.stdout
    assert "“PlexSync.py choose” lists the scenes that need a choice between Plex items." in done.stdout
    answer = json.loads(plexsync("status", "--json", data=tmp_path).stdout)
    assert (answer["pending"], answer["waiting_later"], answer["dead"]) == (2, 1, 2)
    assert answer["worker_running"] is True


def test_queue(letters: Store, tmp_path: Path) -> None:
    rows = json.loads(plexsync("queue", "--json", data=tmp_path).stdout)
    assert [(row["scene_id"], row["update_type"], row["attempts"]) for row in rows] == [
        (22, "create", 0),
        (21, "update", 1),
    ]
    assert rows[0]["due_in_s"] == 0 and 400 < rows[1]["due_in_s"] <= 500
    assert rows[1]["last_error"] == "Plex had a cold."
    text = plexsync("queue", "--limit", 1, data=tmp_path).stdout
    assert text.startswith("scene 22: create of ") and text.count("\n") == 1


def test_notes_about_others_than_scenes_are_named(store: Store, quiet: FileLock, tmp_path: Path) -> None:
    store.enqueue(5, "update", ["name"], entity="performer")
    assert plexsync("queue", data=tmp_path).stdout.startswith("performer 5: update of ")
    job = store.claim()
    assert job is not None
    store.dead_letter(job, "Permanent", "No.")
    assert plexsync("dead", data=tmp_path).stdout.startswith("1: performer 5, ")
    assert json.loads(plexsync("dead", "--json", data=tmp_path).stdout)[0]["about"] == "performer 5"
    store.file.db.execute("UPDATE dead_letters SET data = 'damaged'")
    assert "an unreadable row" in plexsync("dead", data=tmp_path).stdout


def test_an_empty_queue_says_so(store: Store, tmp_path: Path) -> None:
    assert plexsync("queue", data=tmp_path).stdout == "There are no pending jobs.\n"
    assert plexsync("dead", data=tmp_path).stdout == "There are no dead letters.\n"
    assert plexsync("queue", "--json", data=tmp_path).stdout == "[]\n"


def test_dead(letters: Store, tmp_path: Path) -> None:
    done = plexsync("dead", data=tmp_path)
    assert done.returncode == 0
    assert "scene 11" in done.stdout and "NotFound: Scene 11 is NotFound." in done.stdout
    only = json.loads(plexsync("dead", "--json", "--type", "Ambiguous", data=tmp_path).stdout)
    assert [letter["scene_id"] for letter in only] == [12]
    one = json.loads(plexsync("dead", only[0]["id"], "--json", data=tmp_path).stdout)
    assert one["traceback"] == "Traceback of it" and one["payload"]["scene_id"] == 12
    assert "traceback: Traceback of it" in plexsync("dead", only[0]["id"], data=tmp_path).stdout
    done = plexsync("dead", 999, data=tmp_path)
    assert (done.returncode, done.stderr) == (1, "There is no dead letter 999.\n")


def test_retry(letters: Store, quiet: FileLock, tmp_path: Path) -> None:
    done = plexsync("retry", "--type", "Nothing", data=tmp_path)
    assert (done.returncode, done.stdout) == (1, "Dead letters queued again: 0.\n")
    first = letters.letters.newest()[-1].id
    done = plexsync("retry", first, "--json", data=tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"replayed": 1})
    assert plexsync("retry", first, data=tmp_path).returncode == 1
    assert plexsync("retry", "--all", data=tmp_path).stdout == "Dead letters queued again: 1.\n"
    assert plexsync("retry", "--all", data=tmp_path).returncode == 0
    assert (letters.counts().pending, letters.counts().dead) == (4, 0)


def test_export_is_a_line_a_row_on_standard_output_or_in_a_file(letters: Store, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in plexsync("export", data=tmp_path).stdout.splitlines()]
    assert [row["kind"] for row in rows] == ["job"] * 4 + ["dead_letter"] * 2
    file = tmp_path / "out.jsonl"
    done = plexsync("export", "--output", file, data=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] == rows


@pytest.mark.parametrize("command", [["export", "--output"], ["diff", "1", "--html"]], ids=["export", "diff"])
@pytest.mark.parametrize(
    ("name", "why"),
    [("missing/x", "No such file or directory"), (".", "it is a folder")],
    ids=["none", "folder"],
)
def test_a_file_that_cannot_be_written_is_named(
    command: list[str], name: str, why: str, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "connection.json").write_text(json.dumps(NOWHERE))
    path = tmp_path / "there" / name
    (tmp_path / "there").mkdir()
    done = plexsync(*command, path, data=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"{os.path.normpath(path)} cannot be written: {why}.\n"
    assert os.listdir(tmp_path / "there") == []


def test_a_file_somebody_named_has_their_umask(letters: Store, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert plexsync("export", "--output", tmp_path / "all.jsonl", data=tmp_path).returncode == 0
    finally:
        os.umask(before)
    assert (tmp_path / "all.jsonl").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("folder", ["/dev/null", "/proc/none"])
def test_a_worker_without_a_folder_says_so(folder: str) -> None:
    done = plexsync("worker", "--data", folder)
    assert done.returncode == 3
    assert done.stderr.startswith(f"The queue in {folder} cannot be used: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_is_whole_whatever_the_console_can_show(encoding: str, store: Store, tmp_path: Path) -> None:
    store.letters.add({"scene_id": 5}, "Transient", "“映画” → −", "", 1)
    for command in (["dead"], ["dead", "--json"], ["export"]):
        done = plexsync(*command, data=tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C")
        assert (done.returncode, done.stderr) == (0, "")
        if command != ["dead"]:
            found = json.loads(done.stdout)
            message = (found[0] if command[0] == "dead" else found)["message"]
            assert message.startswith("“映画” → −")


def test_hours_that_are_no_number_are_a_wrong_command_line(store: Store, tmp_path: Path) -> None:
    (tmp_path / "connection.json").write_text(json.dumps(NOWHERE))
    done = plexsync("reconcile", "--hours", "nan", "--json", data=tmp_path)
    assert done.returncode == 2 and "hours must be a number" in json.loads(done.stdout)["error"]


def test_an_export_that_cannot_be_had_is_one_line_too(store: Store, tmp_path: Path) -> None:
    store.file.db.execute("PRAGMA user_version = 99")
    store.close()
    done = plexsync("export", "--json", data=tmp_path)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (3, "", 1)
    assert "made by a newer PlexSync" in json.loads(done.stdout)["error"]


@pytest.fixture
def silence(tmp_path: Path) -> Iterator[socket.socket]:
    """A Stash that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        (tmp_path / "connection.json").write_text(json.dumps({**NOWHERE, "Port": port}))
        yield listening


@pytest.mark.parametrize("command", ["diff --all", "reconcile", "doctor"])
def test_ctrl_c_ends_with_130_and_json_all_the_same(
    command: str, store: Store, silence: socket.socket, tmp_path: Path
) -> None:
    given = [sys.executable, str(ROOT / "PlexSync.py"), *command.split(), "--json", "--data", str(tmp_path)]
    pipe = subprocess.PIPE
    child = subprocess.Popen(given, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    silence.settimeout(60)
    silence.accept()[0].recv(1)  # it waits for Stash now
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "")
    assert json.loads(out)["error"] == "Interrupted; pending jobs stay queued."


def at_a_terminal(*args: object, data: Path, **env: str) -> str:
    """All a person sees of a command on a screen of 40 columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 40))
    unmarked = {name: value for name, value in os.environ.items() if name not in (*CI_MARKS, "COLUMNS")}
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "PlexSync.py"), *map(str, args), "--data", str(data)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**unmarked, "TERM": "xterm", **env},
    )
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 65536):
            seen += piece
    os.close(ours)
    child.wait(60)
    return seen.decode()


@pytest.mark.parametrize(
    ("env", "colour", "bar"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, False, False),
        ({"CI": "1"}, True, False),
    ],
    ids=["usual", "NO_COLOR", "dumb", "CI"],
)
def test_colours_and_bar(env: dict[str, str], colour: bool, bar: bool, store: Store, tmp_path: Path) -> None:
    (tmp_path / "connection.json").write_text(json.dumps(NOWHERE))
    seen = at_a_terminal("doctor", data=tmp_path, **env)
    assert "Stash: Stash at http://127.0.0.1:1 is not reachable" in seen
    assert ("\x1b[31m" in seen, "█" in seen) == (colour, bar)
    assert bar or colour or "\x1b" not in seen


def test_outages(store: Store, tmp_path: Path) -> None:
    assert plexsync("outages", data=tmp_path).stdout == "No outage of Stash or Plex so far.\n"
    store.state.open_outage("Plex", "Plex is not reachable.")
    done = plexsync("outages", data=tmp_path)
    assert done.returncode == 1 and "to now: Plex is not reachable." in done.stdout
    store.state.close_outage("Plex")
    done = plexsync("outages", "--json", data=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["servers"]["Plex"]["count"] == 1


def test_choose_lists_who_waits(letters: Store, tmp_path: Path) -> None:
    done = plexsync("choose", data=tmp_path)
    assert done.returncode == 1 and "scene 12: Scene 12 is Ambiguous." in done.stdout
    assert json.loads(plexsync("choose", "--json", data=tmp_path).stdout)["waiting"][0]["scene_id"] == 12
    letters.enqueue(12)  # by a reconcile, for one
    while (job := letters.claim()) is not None and job.scene_id != 12:
        letters.finish(job, "level")
    assert job is not None
    letters.dead_letter(job, "Ambiguous", "Still two.")
    waiting = json.loads(plexsync("choose", "--json", data=tmp_path).stdout)["waiting"]
    assert [letter["message"] for letter in waiting] == ["Still two."], "one scene, once"
    letters.letters.clear()
    assert plexsync("choose", data=tmp_path).returncode == 0


@pytest.mark.parametrize("command", ["diff --all", "choose 12", "reconcile", "reconcile --scope missing"])
def test_what_needs_a_server_says_when_it_is_away(command: str, letters: Store, tmp_path: Path) -> None:
    (tmp_path / "connection.json").write_text(json.dumps(NOWHERE))
    done = plexsync(*command.split(), data=tmp_path)
    assert (done.returncode, done.stdout) == (
        3,
        "",
    ) and "Stash at http://127.0.0.1:1 is not reachable" in done.stderr
    done = plexsync(*command.split(), "--json", data=tmp_path)
    assert done.returncode == 3 and "not reachable" in json.loads(done.stdout)["error"]
    assert "secret-cookie" not in done.stdout + done.stderr


def test_doctor_and_drain_without_stash(letters: Store, tmp_path: Path) -> None:
    (tmp_path / "connection.json").write_text(json.dumps(NOWHERE))
    done = plexsync("doctor", "--json", data=tmp_path)
    assert done.returncode == 1
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert found["Data folder"]["ok"] and not found["Stash"]["ok"]
    assert "127.0.0.1:1" in found["Stash"]["message"]
    text = plexsync("doctor", data=tmp_path)
    assert text.returncode == 1 and "Stash: Stash at http://127.0.0.1:1 is not reachable" in text.stdout
    assert text.stderr == "" and "\nProblems: Stash, " in text.stdout
    done = plexsync("drain", data=tmp_path)
    stop_worker(tmp_path)
    assert done.returncode == 1
    assert "0 done, 0 dead-lettered, 2 still pending." in done.stdout
    assert "Stash at http://127.0.0.1:1 is not reachable: connection refused; does Stash run?" in done.stderr
    assert letters.counts().pending == 2
    for output in (done, text):
        assert "secret-cookie" not in output.stdout + output.stderr


def stop_worker(data: Path) -> None:
    """End the worker a command started, and wait until its lock is free."""
    lock = FileLock(str(data / "worker.lock"))
    give_up = time.monotonic() + 20
    while not lock.take():
        log = data / "plexsync.log"
        begun = log.read_text().split("worker ")[1:] if log.exists() else []
        if begun:
            os.kill(int(begun[-1].split()[0]), signal.SIGTERM)
        assert time.monotonic() < give_up, "the worker does not stop"
        time.sleep(0.05)
    lock.release()


def test_worker_serves_until_told_to_stop(store: Store, tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, str(ROOT / "PlexSync.py"), "worker", "--data", str(tmp_path)],
        stdin=subprocess.DEVNULL,
    )
    log = tmp_path / "plexsync.log"
    give_up = time.monotonic() + 60
    while not (log.exists() and "begins" in log.read_text()):
        assert time.monotonic() < give_up, "no worker began"
        time.sleep(0.05)
    second = plexsync("worker", data=tmp_path)
    assert second.returncode == 0 and log.read_text().count("begins") == 1, (
        "one a folder: another ends at once"
    )
    worker.terminate()
    assert worker.wait(20) == 0


def test_options_may_stand_before_the_command(letters: Store, tmp_path: Path) -> None:
    behind = plexsync("queue", "--json", data=tmp_path)
    before = plexsync("--json", "--data", tmp_path, "queue")
    assert before.returncode == behind.returncode == 0
    assert [job["about"] for job in json.loads(before.stdout)] == [
        job["about"] for job in json.loads(behind.stdout)
    ]


@pytest.mark.parametrize(
    ("args", "stdin", "status"), [(["status"], b"", 3), ([], b'{"args": {"mode": "all"}}', 0)]
)
def test_sources_without_their_packages_say_what_to_do(
    args: list[str], stdin: bytes, status: int, tmp_path: Path
) -> None:
    """As when somebody unpacks the repository instead of the package into Stash's plugins folder."""
    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "PlexSync.py"), *args],
        input=stdin,
        capture_output=True,
        env={"STASH_PLUGIN_DATA": str(tmp_path)},
        timeout=60,
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode == status
    assert "cannot work without the Python package" in said and "install PlexSync from its package" in said
    assert "Traceback" not in said
    if stdin:
        assert json.loads(done.stdout)["error"].startswith("PlexSync cannot work without the Python package")


@pytest.mark.parametrize("args", ["queue", "export", "queue --help", "queue --bogus --json"])
def test_a_reader_that_has_seen_enough_is_no_failure(args: str, letters: Store, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(ROOT / "PlexSync.py"), *args.split(), "--data", str(tmp_path)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_folder_of_the_stash_it_lies_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed as a package, the plugin lies two folders below plugins; its data is beside the sources."""
    monkeypatch.delenv("STASH_PLUGIN_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert consoles.data_folder() == str(tmp_path / ".stash" / "plugins" / "PlexSync" / "data")
    package = tmp_path / "config" / "plugins" / "community" / "PlexSync" / "plexsync"
    data = tmp_path / "config" / "plugins" / "PlexSync" / "data"
    data.mkdir(parents=True)
    monkeypatch.setattr(consoles, "__file__", str(package / "ui" / "console.py"))
    assert consoles.data_folder() == str(data)
    monkeypatch.setenv("STASH_PLUGIN_DATA", str(tmp_path / "given"))
    assert consoles.data_folder() == str(tmp_path / "given")


class Terminal:
    """A standard input somebody types into."""

    def isatty(self) -> bool:
        return True


def sit_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person at both ends, wherever these tests run. Not a fixture: pytest sets both ends anew after those."""
    for name in [*CI_MARKS, "STASH_PLUGIN_DATA"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_a_person_at_a_terminal_sees_a_bar_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sit_at_a_terminal(monkeypatch)
    console = consoles.Console(str(tmp_path), as_json=False)
    console.session.progress(0.5)
    console.session.say("info", "Half done.")
    console.session.progress(0.9)
    console.session.progress(1.0)
    out, err = capsys.readouterr()
    assert out == "Half done.\n"
    assert "50% " in err and "90% " in err and err.endswith("\r\x1b[K") and err.count("\x1b[K") == 2
    quiet = consoles.Console(str(tmp_path), as_json=True)
    quiet.session.progress(0.5)
    quiet.session.say("error", "Not for a program.")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("mark", ["CI", "STASH_PLUGIN_DATA", "RUNNER_1"])
def test_where_nobody_watches_there_is_no_bar_and_no_line_a_job(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mark: str,
) -> None:
    sit_at_a_terminal(monkeypatch)
    monkeypatch.setenv("PLEXSYNC_QUIET_PREFIXES", "RUNNER_")
    assert consoles.Console(str(tmp_path), as_json=False).chatty
    monkeypatch.setenv(mark, "1")
    console = consoles.Console(str(tmp_path), as_json=False)
    assert not console.chatty
    console.session.progress(0.5)
    console.session.say("info", "The answer.")
    assert capsys.readouterr() == ("The answer.\n", "")
