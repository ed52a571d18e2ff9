"""An edit in two pieces that do together what it does."""

from __future__ import annotations

from plexsync.core.pieces import halves, kind_of


def test_a_single_value_is_no_pieces() -> None:
    assert halves({"title.value": "T", "title.locked": "1"}) is None
    assert halves({"genre[0].tag.tag": "A", "genre.locked": "1"}) is None
    assert halves({"genre[].tag.tag-": "A%2CB", "genre.locked": "1"}) is None


def test_fields_go_apart_the_longest_text_first() -> None:
    title = {"title.value": "T", "title.locked": "1"}
    summary = {"summary.value": "s" * 50, "summary.locked": "1"}
    tags = {f"genre[{n}].tag.tag": "g" * 20 for n in range(10)} | {"genre.locked": "1"}
    assert halves({**title, **tags, **summary}) == ({**summary, **title}, tags)
    assert halves({**title, **summary}) == (summary, title)


def test_tags_are_shared_out_and_counted_anew_with_all_that_is_said_of_them() -> None:
    one = {
        "actor[0].tag.tag": "Ann",
        "actor[0].tagging.text": "Herself",
        "actor[1].tag.tag": "Bob",
        "actor[1].tag.thumb": "http://stash/bob",
        "actor[].tag.tag-": "Cy,A%2CB",
        "actor.locked": "0",
    }
    ann = {"actor[0].tag.tag": "Ann", "actor[0].tagging.text": "Herself"}
    bob = {"actor[0].tag.tag": "Bob", "actor[0].tag.thumb": "http://stash/bob"}
    lock = {"actor.locked": "0"}
    first, second = halves(one) or ({}, {})
    assert second == {"actor[].tag.tag-": "Cy,A%2CB", **lock}
    assert halves(first) == ({**ann, **lock}, {**bob, **lock})
    assert halves(second) == ({"actor[].tag.tag-": "Cy", **lock}, {"actor[].tag.tag-": "A%2CB", **lock})


def test_the_field_of_a_parameter() -> None:
    assert [kind_of(key) for key in ("title.value", "genre[0].tag.tag", "label[].tag.tag-")] == [
        "title",
        "genre",
        "label",
    ]
