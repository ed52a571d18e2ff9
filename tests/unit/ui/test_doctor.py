"""The doctor: each check on good and bad news, with Stash and Plex as dictionaries."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plexsync.core.breaker import Breaker, State, to_dict
from plexsync.core.failures import NeedsAttention
from plexsync.core.item import Item
from plexsync.core.match import map_path, path_key
from plexsync.core.scene import SceneFile
from plexsync.core.settings import PathPair, parse
from plexsync.servers.plex import Identity
from plexsync.ui import doctor
from plexsync.ui.session import date_of
from tests.doubles import NOW, Paper, Session, make_dead_letter, run_task


def checks(session: Session) -> dict[str, tuple[bool, str]]:
    answer = run_task(session, "health_check")
    found = {check["name"]: (check["ok"], check["message"]) for check in answer["checks"]}  # type: ignore[attr-defined]
    assert answer["healthy"] == all(ok for ok, _ in found.values())
    assert list(found) == list(doctor.CHECKS)
    ill = [name for name, (ok, _) in found.items() if not ok]
    last = ("error", f"Problems: {', '.join(ill)}.") if ill else ("info", "No problems found.")
    assert session.lines[-1] == last
    for name, (ok, message) in found.items():
        assert message.endswith(".") and ("info" if ok else "error", f"{name}: {message}") in session.lines
    return found


def test_health_when_all_is_well(session: Session) -> None:
    found = checks(session)
    assert [ok for ok, _ in found.values()] == [True] * len(doctor.CHECKS), found
    assert "v0.30.1" in found["Stash"][1] and "“Films”" in found["Libraries"][1]
    assert found["Paths"][1] == (
        "Of 40 scenes tried, 40 are in Plex under their paths: scene 1, /data/1.mp4, is item 1001 in Plex."
    )


def test_health_names_what_is_not_set(session: Session, paper: Paper) -> None:
    paper.stored.clear()
    found = checks(session)
    assert found["Stash"][0] and not found["Settings"][0]
    assert "plex_url" in found["Settings"][1] and "plex_token" in found["Settings"][1]
    for later in ("Plex", "Libraries", "Paths"):
        assert found[later] == (False, "Skipped: fix “Settings” first.")


def test_health_names_the_libraries_with_rules_of_their_own(session: Session, paper: Paper) -> None:
    paper.stored["library_rules"] = "[films] leave_title"
    assert "“Films” (with rules of its own)" in checks(session)["Libraries"][1]


def test_health_without_stash(session: Session, paper: Paper) -> None:
    paper.trouble["Stash"] = NeedsAttention("Stash", "Stash does not accept our key (401).")
    found = checks(session)
    assert found["Stash"] == (False, "Stash does not accept our key (401).")
    assert found["Plex"] == (False, "Skipped: fix “Stash” first.")
    assert found["Data folder"][0]


def test_health_without_plex(session: Session, paper: Paper) -> None:
    paper.trouble["Plex"] = NeedsAttention("Plex", "Plex does not accept plex_token (401).")
    found = checks(session)
    assert found["Settings"][0] and found["Plex"] == (False, "Plex does not accept plex_token (401).")
    assert found["Paths"] == (False, "Skipped: fix “Plex” first.")


def test_health_explains_paths_that_do_not_fit(session: Session, paper: Paper) -> None:
    paper.items.clear()
    paper.stored["path_map"] = "/data => /mnt"
    ok, message = checks(session)["Paths"]
    assert not ok
    assert "None of 40 scenes" in message and "/data/1.mp4, in Plex as /mnt/1.mp4" in message
    assert "/media/films" in message and "path_map" in message
    assert parse(paper.stored)[0].path_map == (PathPair("/data", "/mnt"),)


def test_health_passes_over_scenes_without_file(session: Session, paper: Paper) -> None:
    for number in (1, 2, 3):
        paper.has[number] = replace(paper.has[number], files=())
    assert "scene 4, /data/4.mp4" in checks(session)["Paths"][1]
    paper.has = {1: paper.has[1]}
    assert checks(session)["Paths"] == (
        True,
        "Stash has no scene with a file yet, so there is nothing to look for.",
    )


def test_letters_choices_and_outages_each_have_their_sentence(session: Session) -> None:
    for scene_id, error_type in ((1, "Permanent"), (2, "NotFound"), (3, "NotFound"), (4, "Ambiguous")):
        make_dead_letter(session.store, scene_id, error_type)
    found = checks(session)
    assert found["Dead letters"] == (
        False,
        "3 dead letters (2 × NotFound, 1 × Permanent), the newest of scene 3: NotFound happened. “Queue status” "
        "lists them, and “Retry dead letters” queues them again.",
    )
    ok, message = found["Choices"]
    assert not ok and "1 scene may be one of several Plex items" in message and "choose 4" in message
    assert found["Queue"][0] and found["Outages"] == (True, "No outage of Stash or Plex was recorded.")


def test_an_outage_while_it_lasts_and_afterwards(session: Session) -> None:
    session.store.enqueue(2)
    session.store.state.save_breaker("Plex", to_dict(Breaker(State.OPEN, 3, NOW, NOW + 50, 60)))
    ok, message = checks(session)["Queue"]
    assert not ok and message.startswith("1 pending job. Plex is not reachable")
    session.store.state.open_outage("Plex", "Plex is not reachable.")
    ok, message = checks(session)["Outages"]
    assert not ok and message.startswith("Plex is unreachable since ")
    session.clock.sleep(90)
    session.store.state.close_outage("Plex")
    ok, message = checks(session)["Outages"]
    assert ok and "that of Plex" in message and "for 90 s: Plex is not reachable." in message


def test_the_path_map_is_learned_from_files_of_the_same_name_and_size(session: Session, paper: Paper) -> None:
    """Films below one folder, clips below another, and a setting that leads nowhere: the text mends it all."""
    for number in range(1, 501):
        kind = "films" if number <= 250 else "clips"
        path = f"/data/{kind}/{number % 7}/{number}.mp4"
        paper.has[number] = replace(paper.has[number], files=(SceneFile(path, size=number),))
        there = path.replace("/data/films", "/media/Films").replace("/data/clips", "M:\\Clips")
        there = there.replace("/", "\\") if "M:" in there else there
        paper.items[1000 + number] = Item(1000 + number, 1, files=(there,), sizes=(number,))
    paper.stored["path_map"] = "/data/films => /wrong"
    ok, message = checks(session)["Paths"]
    assert not ok and message.startswith(
        "Of 40 scenes tried, Plex has 40 under another path than path_map says"
    )
    assert "(with it 40 of 40 files are found by their path)" in message
    text = message.split("Set path_map to: ")[1].split(" (with it")[0]
    settings, problems = parse({**paper.stored, "path_map": text})
    assert not problems and len(settings.path_map) == 2, text
    for number, scene in paper.has.items():
        (theirs,) = paper.items[1000 + number].files
        assert path_key(map_path(scene.files[0].path, settings.path_map)) == path_key(theirs)
    paper.stored["path_map"] = text
    assert checks(session)["Paths"][0]


def test_a_map_that_fits_most_scenes_is_kept_in_the_one_proposed(session: Session, paper: Paper) -> None:
    paper.stored["path_map"] = "/data => /media"
    for number in range(1, 501):
        folder = "/media" if number != 3 else "/other"
        paper.items[1000 + number] = Item(1000 + number, 1, files=(f"{folder}/{number}.mp4",), sizes=(9,))
        paper.has[number] = replace(paper.has[number], files=(SceneFile(f"/data/{number}.mp4", size=9),))
    ok, message = checks(session)["Paths"]
    assert not ok and "Plex has 1 under another path" in message and "/data => /media" in message


def test_a_map_where_none_is_needed(session: Session, paper: Paper) -> None:
    for number in range(1, 501):
        paper.items[1000 + number] = Item(1000 + number, 1, files=(f"/data/{number}.mp4",), sizes=(9,))
        paper.has[number] = replace(paper.has[number], files=(SceneFile(f"/data/{number}.mp4", size=9),))
    paper.stored["path_map"] = "/data => /media"
    ok, message = checks(session)["Paths"]
    assert not ok and "Empty path_map (with it 40 of 40 files are found by their path)." in message


def test_names_that_differ_in_case_are_no_trouble_of_the_path_map(session: Session, paper: Paper) -> None:
    for number in range(1, 501):
        paper.items[1000 + number] = Item(1000 + number, 1, files=(f"/Data/{number}.MP4",), sizes=(9,))
        paper.has[number] = replace(paper.has[number], files=(SceneFile(f"/data/{number}.mp4", size=9),))
    assert checks(session)["Paths"] == (
        True,
        "Of 40 scenes tried, 0 are in Plex under their paths, and 40 were told by the size of a file whose name there "
        "differs in case: scene 1, /data/1.mp4, is /Data/1.MP4 in Plex.",
    )


def test_scenes_that_are_nowhere_in_plex_are_counted(session: Session, paper: Paper) -> None:
    del paper.items[1001]
    ok, message = checks(session)["Paths"]
    assert ok and message.endswith("item 1002 in Plex; 1 is not in Plex, the first is /data/1.mp4.")


def test_a_scene_with_two_items_is_counted_among_the_others(session: Session, paper: Paper) -> None:
    paper.items[2002] = replace(paper.items[1002], rating_key=2002)
    message = checks(session)["Paths"][1]
    assert message.startswith("Of 40 scenes tried, 39 are in Plex under their paths: ")
    assert message.endswith("; 1 is there more than once.")


def test_paths_with_two_items_each_are_no_trouble_of_the_path_map(session: Session, paper: Paper) -> None:
    paper.has = {1: paper.has[1]}
    paper.items[2001] = replace(paper.items[1001], rating_key=2001)
    assert checks(session)["Paths"] == (
        True,
        "Of 1 scene tried, each is in Plex under its path, more than once.",
    )


@pytest.mark.parametrize(("off_s", "word"), [(95.0, "95 s ahead"), (-3600.0, "1 h behind")])
def test_a_clock_that_is_wrong(session: Session, off_s: float, word: str) -> None:
    session.dates["http://plex:32400/identity"] = NOW + off_s
    ok, message = checks(session)["Clock"]
    assert not ok and f"Plex's is {word}" in message


def test_clocks_that_agree_or_are_not_told(session: Session, paper: Paper) -> None:
    assert checks(session)["Clock"] == (True, "This clock and that of Stash and Plex agree to 1 s.")
    session.dates = {"http://plex:32400/identity": None}
    assert "that of Stash agree" in checks(session)["Clock"][1]
    session.dates[paper.address] = None
    assert checks(session)["Clock"] == (True, "Neither Stash nor Plex says what time it is.")


def test_versions(session: Session, paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    ok, message = checks(session)["Versions"]
    assert ok and "Stash v0.30.1, Plex 1.41.5." in message and "Python 3." in message
    monkeypatch.setattr(paper, "version", lambda: "v0.26.2")
    monkeypatch.setattr(paper, "identity", lambda: Identity("abc", "1.40.9.1"))
    assert "made for Stash 0.30 and Plex 1.41, so update" in checks(session)["Versions"][1]
    paper.trouble["Plex"] = NeedsAttention("Plex", "Plex does not accept plex_token (401).")
    ok, message = checks(session)["Versions"]
    assert ok and message.endswith(
        "Stash v0.26.2, Plex not known; PlexSync was made for Stash 0.30, so update if something fails."
    )


def test_a_package_that_is_missing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "plexapi 4." in checks(session)["Packages"][1]
    monkeypatch.setitem(doctor.PACKAGES, "nothing-at-all", "nothing_at_all")
    ok, message = checks(session)["Packages"]
    assert not ok and message.startswith("The package nothing-at-all cannot be used: No module named")


def test_health_of_a_folder_that_cannot_be_written(session: Session, tmp_path: Path) -> None:
    """Root may write anywhere, so the folder refuses in another way: the file the check makes is there already."""
    (tmp_path / f"probe-{os.getpid()}").mkdir()
    ok, message = checks(session)["Data folder"]
    assert not ok and message.startswith(f"{tmp_path} cannot be written: Is a directory. Give the user")


def test_health_of_a_full_disk(session: Session, tmp_path: Path) -> None:
    probe = tmp_path / f"probe-{os.getpid()}"
    probe.symlink_to("/dev/full")
    ok, message = checks(session)["Data folder"]
    assert (ok, message) == (
        False,
        f"{tmp_path} cannot be written: No space left on device. Make room on that disk.",
    )
    assert not probe.is_symlink(), "nothing is left lying about"


class Dated(http.server.BaseHTTPRequestHandler):
    """Answers with a status and a Date of its path's: /200/Thu, 01 Jan 1970 00:01:40 GMT."""

    def do_GET(self) -> None:
        _, status, date = self.path.split("/", 2)
        self.send_response_only(int(status))
        if date:
            self.send_header("Date", date.replace("%20", " "))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Silence."""


@pytest.fixture
def dated() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Dated) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_time_of_a_server_is_read_from_its_answer_whatever_it_is(dated: str) -> None:
    date = "Thu,%2001%20Jan%201970%2000:01:40%20GMT"
    assert date_of(f"{dated}/200/{date}") == 100.0
    assert date_of(f"{dated}/401/{date}") == 100.0
    assert date_of(f"{dated}/200/") is None
    assert date_of(f"{dated}/200/yesterday") is None
    assert date_of("http://127.0.0.1:1/") is None
    assert date_of("no address") is None
