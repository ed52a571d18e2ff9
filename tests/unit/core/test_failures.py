"""Failures: sentences without secrets."""

from __future__ import annotations

from plexsync.core.failures import (
    Landed,
    NeedsAttention,
    Permanent,
    SettingProblem,
    SyncFailure,
    Transient,
    Unavailable,
    redact,
)


def test_every_failure_of_ours_is_a_sync_failure_and_says_its_sentence() -> None:
    for failure in (
        SettingProblem("plex_url", "plex_url is not set."),
        Unavailable("Plex", "Plex is away."),
        NeedsAttention("Stash", "Stash says no."),
        Transient("Later."),
        Permanent("Never."),
    ):
        assert isinstance(failure, SyncFailure)
        assert str(failure).endswith(".")
    assert SettingProblem("plex_url", "x").key == "plex_url"
    assert Unavailable("Plex", "x").service == "Plex"
    assert NeedsAttention("Stash", "x").service == "Stash"


def test_what_is_known_of_the_request_is_told_at_construction() -> None:
    refused = Unavailable("Plex", "Plex is starting.", landed=Landed.NO)
    assert (refused.landed, Unavailable("Plex", "No answer.").landed) == (Landed.NO, Landed.PERHAPS)
    assert {Permanent("x").landed, NeedsAttention("Plex", "x").landed} == {Landed.NO}  # the server's own word
    later = refused.with_landed(Landed.PERHAPS)
    assert (type(later), str(later), later.service) == (Unavailable, "Plex is starting.", "Plex")
    assert (later.landed, refused.landed) == (Landed.PERHAPS, Landed.NO)


def test_redact_hides_every_occurrence_and_the_longer_secret_first() -> None:
    text = "token=abcdef key=abcdefgh cookie=abcdef"
    assert redact(text, ["abcdef", "abcdefgh"]) == "token=<hidden> key=<hidden> cookie=<hidden>"


def test_redact_leaves_text_alone_for_secrets_that_are_empty_or_tiny() -> None:
    assert redact("a cat sat", ["", "a"]) == "a cat sat"
