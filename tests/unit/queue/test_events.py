"""A job's row as it is written by hand, found on disk."""

from __future__ import annotations

import json

import pytest

from plexsync.queue import events, layout


def put(db, event, now=100.0, **more):
    db.execute("BEGIN IMMEDIATE")
    done = events.insert(db, event, now, **more)
    db.execute("COMMIT")
    return done


def rows(db, columns="_id, data, status, key, generation"):
    return db.execute(f"SELECT {columns} FROM {layout.TABLE} ORDER BY _id").fetchall()


# ---- what a note is about ----


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        ({"scene_id": 12}, "scene:12"),
        ({"entity": "scene", "scene_id": 12}, "scene:12"),
        ({"entity": "performer", "id": 5}, "performer:5"),
        ({"entity": "performer", "scene_id": 5}, None),
        ({"entity": "planet", "id": 5}, None),
        ({"entity": ["scene"], "scene_id": 5}, None),
        ({"scene_id": 0}, None),
        ({"scene_id": -1}, None),
        ({"scene_id": True}, None),
        ({"scene_id": "12"}, None),
        ({"scene_id": 2**63}, None),
        ({"scene_id": 2**63 - 1}, f"scene:{2**63 - 1}"),
        ({}, None),
        (None, None),
        ([12], None),
    ],
)
def test_key(payload, key):
    assert events.key_of(payload) == key


def test_an_unknown_kind_of_edit_is_refused():
    with pytest.raises(ValueError, match="rename"):
        events.new_event(1, "rename", [])


def test_two_events_never_have_one_id():
    assert len({events.new_event(1, "update", [])["event"] for _ in range(100)}) == 100


# ---- merging ----


def event(kind="update", fields=("title",), at=1.0, **more):
    return {**events.new_event(7, kind, list(fields), now=at), **more}


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("create", "update", "create"),
        ("update", "create", "create"),
        ("update", "update", "update"),
        ("sync", "update", "update"),
        ("destroy", "update", "destroy"),
        ("update", "destroy", "destroy"),
        ("destroy", "create", "destroy"),
    ],
)
def test_kind_of_two_edits(first, second, kind):
    assert events.merged(event(first), event(second))["update_type"] == kind


@pytest.mark.parametrize(
    ("first", "second", "fields"),
    [
        (["title"], ["date"], ["date", "title"]),
        (["title"], ["title"], ["title"]),
        ([], ["title"], []),  # unknown stays unknown
        (["title"], [], []),
    ],
)
def test_fields_of_two_edits(first, second, fields):
    assert events.merged(event(fields=first), event(fields=second))["fields"] == fields


def test_a_merged_edit_keeps_the_first_moment_and_the_newest_data():
    both = events.merged(event(at=1.0, data={"a": 1}), event(at=9.0, data={"a": 2}))
    assert (both["enqueued_at"], both["data"]) == (1.0, {"a": 2})


def test_what_a_destroy_says_of_the_scene_stays():
    gone = event("destroy", data={"path": "/x"})
    assert events.merged(gone, event(data={"b": 1}))["data"] == {"path": "/x"}


def test_a_barrier_stays_a_barrier():
    assert events.merged(event(parallel=False), event(parallel=True))["parallel"] is False


@pytest.mark.parametrize("odd", ["soon", None, True, -1, float("nan"), float("inf"), [1], 1e300])
def test_a_moment_that_is_none_is_not_taken_over(odd):
    assert events.merged(event(enqueued_at=odd), event(at=5.0))["enqueued_at"] == 5.0


# ---- the one INSERT ----


def test_an_edit_is_one_row(db):
    assert put(db, event()) == (1, 1)
    [(_, data, status, key, generation)] = rows(db)
    assert (status, key, generation) == (0, "scene:7", 1)
    assert json.loads(data)["fields"] == ["title"]
    assert rows(db, "checksum, due_at, decided_at") == [(events.checksum(data), events.BEFORE_ALL_DUE, 100.0)]


def test_a_hundred_edits_of_a_scene_are_one_row(db):
    for number in range(100):
        assert put(db, event(fields=[f"f{number}"])) == (1, number + 1)
    [(_, data, _, _, generation)] = rows(db)
    assert generation == 100
    assert len(json.loads(data)["fields"]) == 100


def test_a_row_that_is_worked_on_is_left_alone(db):
    put(db, event())
    db.execute(f"UPDATE {layout.TABLE} SET status = 2")
    assert put(db, event()) == (2, 1)


def test_an_edit_makes_a_postponed_row_due_and_forgets_its_failures(db):
    put(db, event())
    db.execute(f"UPDATE {layout.TABLE} SET status = 1, due_at = 9999, attempts = 5, deaths = 2")
    put(db, event(), now=200.0)
    assert rows(db, "due_at, attempts, deaths") == [(events.BEFORE_ALL_DUE, 0, 0)]


@pytest.mark.parametrize(("first", "then"), [("sync", "sync"), ("update", "sync"), ("sync", "update")])
def test_an_edit_does_not_put_off_a_row_that_is_due(db, first, then):
    """And is due before all that a task asks for, which is due from then on."""
    put(db, event(first), now=100.0)
    put(db, event(then), now=200.0)
    assert rows(db, "due_at") == [(100.0 if first == then else events.BEFORE_ALL_DUE,)]


def test_a_late_edit_does_not_put_older_data_over_newer(db):
    put(db, event(data={"title": "new"}, at=5.0))
    put(db, event(data={"title": "old"}, at=1.0, fields=["date"]), late=True)
    [(data,)] = rows(db, "data")
    said = json.loads(data)
    assert said["data"] == {"title": "new"}
    assert said["fields"] == ["date", "title"]
    assert said["enqueued_at"] == 1.0


@pytest.mark.parametrize("damage", ["{", "[]", "null", b"\x80\x04", "\udcff", "1e999"])
def test_a_waiting_row_that_cannot_be_read_gives_way_to_the_new_edit(db, damage):
    put(db, event())
    raw = damage.encode("utf-8", "surrogatepass") if isinstance(damage, str) else damage
    db.execute(f"UPDATE {layout.TABLE} SET data = CAST(? AS TEXT)", (raw,))
    put(db, event(fields=["date"]))
    [(data, crc)] = rows(db, "data, checksum")
    assert json.loads(data)["fields"] == ["date"]
    assert crc == events.checksum(data)


def test_a_flipped_bit_is_not_merged_into_a_sound_row(db):
    put(db, event(fields=["title"]))
    db.execute(f"UPDATE {layout.TABLE} SET data = replace(data, 'title', 'tit1e')")
    put(db, event(fields=["date"]))
    assert json.loads(rows(db, "data")[0][0])["fields"] == ["date"]


@pytest.mark.parametrize("text", ["\U0001f600", "\ud83d", "\x00", "\u2028", "é" * 1000])
def test_any_text_comes_back_as_it_was(db, text):
    put(db, event(data={"note": text}))
    assert json.loads(rows(db, "data")[0][0])["data"] == {"note": text}
