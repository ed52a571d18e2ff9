"""Verdicts on a history: pure functions, one promise each, with the rows that show it broken.

`CHECKS` is the table of all of them. A check is given the history and what the scenario says it must allow for; it
never looks anywhere else, so each has tests on histories written by hand, sick ones above all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scenarios import in_sync
from scenarios.history import (
    FAILED,
    OK,
    OUTCOME_UNKNOWN,
    RATED_IN_PLEX,
    History,
    Sample,
    Write,
    duplicates,
    quantile,
)
from scenarios.scenario import Expect

ROWS = 12  # of evidence shown for one verdict
QUICK_PYTHON_MS = 20.0  # what starting Python costs on the machine the hook's budget was written for
NOTICED_S = 1.5  # an outage shorter than this may pass unseen: nobody asked the server meanwhile


@dataclass(frozen=True)
class Verdict:
    check: str
    holds: bool
    sentence: str
    evidence: tuple[str, ...] = ()


Check = Callable[[History, Expect], Verdict]


def _verdict(check: Check, good: str, bad: str, evidence: Iterable[str]) -> Verdict:
    rows = tuple(evidence)
    return Verdict(check.__name__, not rows, bad if rows else good, rows[:ROWS])


def nothing_lost(history: History, expect: Expect) -> Verdict:
    """Every edit Stash accepted is in Plex, or a dead letter says why not, or its scene is gone.

    As in Jepsen's total queue: what was acknowledged must come out. An edit whose outcome is unknown counts when it
    is in Stash, since Plex is compared with what Stash says in the end.
    """
    explained = {letter.scene_id for letter in history.letters} | set(expect.never_in_sync)
    lost = []
    for pair in history.pairs:
        edits = [e for e in history.edits_of(pair.scene_id) if e.outcome != FAILED and e.concerns_plex]
        if not edits or pair.scene_id in explained:
            continue
        if pair.plex is None:
            lost.append(f"scene {pair.scene_id}: Plex has no item of {pair.file}, and no dead letter says so")
        elif differences(pair.stash, pair.plex, pair.before):
            fields = ", ".join(differences(pair.stash, pair.plex, pair.before))
            waits = " (something still waits)" if history.final.pending else ""
            lost.append(
                f"scene {pair.scene_id}: {len(edits)} edits accepted, Plex differs in {fields}{waits}"
            )
    return _verdict(
        nothing_lost, f"{len(history.edits)} edits, none lost", f"{len(lost)} scenes lost an edit", lost
    )


def differences(stash: in_sync.Said, plex: in_sync.Said, before: in_sync.Said | None) -> tuple[str, ...]:
    """The fields in which Plex is not what it must be. What is empty in Stash may stay as Plex had it."""
    return tuple(
        name
        for name in in_sync.differing(stash, plex)
        if stash.get(name) or not before or plex.get(name) != before.get(name)
    )


def plex_is_level(history: History, expect: Expect) -> Verdict:
    """In the end Plex says field by field what Stash says, for every scene that was edited or that a task synced."""
    accepted = [edit for edit in history.edits if edit.outcome != FAILED and edit.concerns_plex]
    touched = {move.scene_id for move in history.moves} | {i for edit in accepted for i in edit.scene_ids}
    excused = set(expect.never_in_sync) | set(expect.dead)
    rows = [
        f"scene {pair.scene_id} {name}: Stash {pair.stash[name]!r}, Plex {pair.plex[name]!r}"
        for pair in history.pairs
        if pair.scene_id in touched - excused and pair.plex is not None
        for name in differences(pair.stash, pair.plex, pair.before)
    ]
    return _verdict(plex_is_level, "Plex says what Stash says", "Plex differs from Stash", rows)


def nothing_from_nowhere(history: History, expect: Expect) -> Verdict:
    """Plex was sent nothing for scenes nobody touched, no item that is no scene's, and no title nobody gave."""
    touched = {i for edit in history.edits for i in edit.scene_ids} | {
        move.scene_id for move in history.moves
    }
    rows = []
    for write in history.writes:
        if write.scene_id is None:
            gone = any(edit.kind in ("destroy", "merge") for edit in history.edits)
            if not gone:
                rows.append(f"item {write.rating_key} belongs to no scene and was sent {write.asks[:80]}")
        elif write.scene_id not in touched:
            rows.append(f"scene {write.scene_id} was never edited and its item was sent {write.asks[:80]}")
    # A scene that only a task looked at may be brought in sync with its first state, and that is known from Stash.
    given = _titles_given(history)
    for pair in history.pairs:
        if pair.plex is not None and pair.scene_id in given:
            allowed = given[pair.scene_id] | {str(pair.stash["title"])}
            if pair.before is not None:
                allowed.add(str(pair.before["title"]))
            if str(pair.plex["title"]) not in allowed:
                rows.append(f"scene {pair.scene_id}: nobody ever called it {pair.plex['title']!r}")
    return _verdict(nothing_from_nowhere, "nothing came from nowhere", "something came from nowhere", rows)


def _titles_given(history: History) -> dict[int, set[str]]:
    given: dict[int, set[str]] = {}
    for edit in history.edits:
        for scene_id in edit.scene_ids:
            given.setdefault(scene_id, set())
            if edit.fields.get("title"):
                given[scene_id].add(str(edit.fields["title"]))
    return given


def duplicates_bounded(history: History, expect: Expect) -> Verdict:
    """A write that repeats the one before it is explained, each by itself, by what happened between the two: a worker
    was killed or stood still, or the answer to the first was lost. No more of them than kills and lost answers."""
    repeated = duplicates(history)
    bound = history.kills + history.unknown_outcomes + len(history.marked("freeze"))
    rows = [
        f"scene {write.scene_id} at {write.at - history.began_at:.2f} s repeats the write of "
        f"{before.at - history.began_at:.2f} s: {write.asks[:80]}"
        for before, write in repeated
        if len(repeated) > bound or not _explained(history, before, write)
    ]
    good = f"{len(repeated)} repeated writes, each explained; {bound} kills, freezes and lost answers"
    return _verdict(
        duplicates_bounded, good, f"{len(rows)} of {len(repeated)} repeated writes unexplained", rows
    )


def _explained(history: History, before: Write, write: Write) -> bool:
    if before.status is None or OUTCOME_UNKNOWN & set(before.faults):
        return True
    # A mark is made when the signal is known to have been sent, which may be a moment after it was.
    return any(before.at - NOTICED_S <= mark.at <= write.at for mark in history.marked("kill", "freeze"))


def order_kept(history: History, expect: Expect) -> Verdict:
    """For each scene, titles reach Plex in the order in which they were given."""
    rows = []
    for pair in history.pairs:
        order: dict[str, int] = {}
        for edit in history.edits_of(pair.scene_id):
            if edit.fields.get("title"):
                order.setdefault(str(edit.fields["title"]), edit.number)
        last = -1
        for write in sorted(history.writes_of(pair.scene_id), key=lambda w: w.at):
            number = order.get(write.title or "", -1)
            if number < 0:
                continue
            if number < last and not expect.stale_writes:
                rows.append(f"scene {pair.scene_id}: {write.title!r} was written after a newer title")
            last = max(last, number)
    return _verdict(order_kept, "order kept per scene", "an older edit was written later", rows)


def newest_wins(history: History, expect: Expect) -> Verdict:
    """In the end Plex shows the title of the newest edit; or of one that ran beside it, or whose outcome is unknown."""
    rows = []
    for pair in history.pairs:
        if pair.plex is None or pair.scene_id in set(expect.never_in_sync) | set(expect.dead):
            continue
        titled = [
            edit
            for edit in history.edits_of(pair.scene_id)
            if edit.outcome != FAILED and edit.fields.get("title")
        ]
        done = (edit for edit in titled if edit.outcome == OK)
        newest = max(done, key=lambda edit: (edit.asked_at, edit.number), default=None)
        cleared = any("title" in e.fields and not e.fields["title"] for e in history.edits_of(pair.scene_id))
        if newest is None or cleared:
            continue
        allowed = {
            str(edit.fields["title"])
            for edit in titled
            if edit is newest or (edit.answered_at or history.ended_at) > newest.asked_at
        }
        if str(pair.plex["title"]) not in allowed:
            rows.append(
                f"scene {pair.scene_id}: {newest.fields['title']!r} is newest, Plex shows {pair.plex['title']!r}"
            )
    return _verdict(newest_wins, "the newest edit is shown", "an older edit is shown in the end", rows)


def ratings_reach_stash(history: History, expect: Expect) -> Verdict:
    """A rating given in Plex is Stash's in the end, unless somebody rated the scene in Stash after that."""
    rows = []
    given = [edit for edit in history.edits if edit.kind == RATED_IN_PLEX and edit.outcome == OK]
    for pair in history.pairs:
        rated = [
            edit
            for edit in history.edits_of(pair.scene_id)
            if edit.outcome != FAILED and "rating100" in edit.fields
        ]
        newest = max(rated, key=lambda edit: (edit.asked_at, edit.number), default=None)
        if newest is None or newest not in given:
            continue
        wanted = newest.fields["rating100"] / 10
        if pair.stash["rating"] != wanted:
            rows.append(f"scene {pair.scene_id}: rated {wanted} in Plex, Stash has {pair.stash['rating']!r}")
    return _verdict(
        ratings_reach_stash, f"{len(given)} ratings given in Plex", "a rating never reached Stash", rows
    )


def dead_letters_deserved(history: History, expect: Expect) -> Verdict:
    """Dead letters are exactly the ones the scenario says are deserved, each with its cause and its attempts."""
    found = {letter.scene_id: letter.error_type for letter in history.letters}
    wanted = dict(expect.dead)
    rows = [
        f"scene {s}: dead as {t}, which it does not deserve"
        for s, t in found.items()
        if wanted.get(s or 0) != t
    ]
    rows += [f"scene {s}: should be dead as {t}" for s, t in wanted.items() if s not in found]
    rows += [
        f"scene {letter.scene_id}: its letter has no message"
        for letter in history.letters
        if not letter.message
    ]
    return _verdict(
        dead_letters_deserved, f"{len(found)} dead letters, as deserved", "wrong dead letters", rows
    )


def outages_true(history: History, expect: Expect) -> Verdict:
    """Each outage the plugin recorded was one, and has ended; breakers are closed in the end."""
    rows = []
    down = {"Plex": _down(history, "plex"), "Stash": _down(history, "stash")}
    for outage in history.outages:
        spans = down.get(outage.server, [])
        if not any(begin - 0.5 <= outage.began_at <= end + 5 for begin, end in spans):
            rows.append(
                f"{outage.server}: an outage was recorded at {outage.began_at - history.began_at:.1f} s, and was none"
            )
        if outage.ended_at is None:
            rows.append(
                f"{outage.server}: the outage of {outage.began_at - history.began_at:.1f} s never ended"
            )
    for name, state in (("Plex", history.final.plex), ("Stash", history.final.stash)):
        if state != "closed":
            rows.append(f"{name}: the breaker is {state} in the end")
    if not expect.outages:
        rows = []
    return _verdict(
        outages_true, f"{len(history.outages)} outages recorded, all true", "false outage records", rows
    )


def _down(history: History, subject: str) -> list[tuple[float, float]]:
    """Spans in which a server was away or troubled. Outages may overlap; a fault ends when its server is calm again."""
    marks = [mark for mark in history.marks if mark.subject == subject]
    end_of_all = history.healed_at or history.ended_at
    spans = []
    for mark in marks:
        if mark.kind == "fault":
            spans.append(
                (
                    mark.at,
                    min((m.at for m in marks if m.kind == "calm" and m.at >= mark.at), default=end_of_all),
                )
            )
    depth, since = 0, 0.0
    for mark in marks:
        if mark.kind == "down":
            since = mark.at if not depth else since
            depth += 1
        elif mark.kind == "up" and depth:
            depth -= 1
            if not depth:
                spans.append((since, mark.at))
    return spans + ([(since, end_of_all)] if depth else [])


def hook_in_budget(history: History, expect: Expect) -> Verdict:
    """Hooks end within the budget, scaled by what starting a bare Python cost at the same time on this machine.

    The 95th percentile is compared. Fewer than 20 hooks say little: of them the median, with three times the budget.
    """
    times = [hook.wall_ms for hook in history.hooks if hook.signal is None]
    part = 0.95 if len(times) >= 20 else 0.5
    scale = max(1.0, quantile(history.baselines_ms, part) / QUICK_PYTHON_MS)
    limit, slow = expect.hook_ms * scale * (1 if len(times) >= 20 else 3), quantile(times, part)
    said = f"{len(times)} hooks, {part:.0%} within {slow:.0f} ms; the budget is {limit:.0f} ms here"
    return _verdict(hook_in_budget, said, said, [said] if slow > limit else [])


def status_true(history: History, expect: Expect) -> Verdict:
    """What queue_status said lies between what the file held just before and just after."""
    rows = []
    for answer in history.answers:
        for key, of in _COUNTED.items():
            low, high = sorted((of(answer.earlier), of(answer.later)))
            # A job in hand is in neither count of waiting for a moment, and new ones come in.
            slack = 1 if key in ("pending", "in_progress") else 0
            said = answer.said.get(key)
            if not isinstance(said, int) or not low - slack <= said <= high + slack:
                rows.append(f"{key}: said {said}, the file held {low} to {high}")
    return _verdict(
        status_true, f"asked {len(history.answers)} times, told the truth", "status was wrong", rows
    )


_COUNTED: dict[str, Callable[[Sample], int]] = {
    "pending": lambda s: s.pending,
    "in_progress": lambda s: s.in_progress,
    "dead": lambda s: s.dead,
    "finished_ever": lambda s: s.done,
}


def no_secret(history: History, expect: Expect) -> Verdict:
    """Token, key, password and cookies are in no log, answer, address or command line."""
    return _verdict(no_secret, "no secret anywhere", "a secret can be read", history.secrets)


def drained_in_time(history: History, expect: Expect) -> Verdict:
    """After healing everything that is due is done, within the scenario's time."""
    rows = []
    took = None if history.drained_at is None else history.drained_at - history.healed_at
    if took is None:
        left = f"{history.final.pending} wait, {history.final.in_progress} in progress"
        rows.append(f"not at rest {expect.drain_s:g} s after healing: {left}")
    elif took > expect.drain_s:
        rows.append(f"at rest only {took:.0f} s after healing, {expect.drain_s:g} s are allowed")
    waits = history.final.pending if not expect.later else history.final.pending - history.final.later
    if not rows and (waits or history.final.in_progress):
        rows.append(f"{waits} wait and {history.final.in_progress} are in progress in the end")
    good = "" if took is None else f"at rest {took:.1f} s after healing"
    return _verdict(drained_in_time, good, "did not come to rest", rows)


def nothing_left_running(history: History, expect: Expect) -> Verdict:
    """The worker ends when asked, and after the end no process of this world is left."""
    return _verdict(nothing_left_running, "nothing left running", "something still runs", history.leftovers)


def no_defects(history: History, expect: Expect) -> Verdict:
    """The plugin's log holds no traceback, and no hook ended with another status than 0 or by itself with a signal."""
    rows = [text.splitlines()[0][:100] + " … " + text.splitlines()[-1][:160] for text in history.troubles]
    return _verdict(no_defects, "no defect met", f"{len(rows)} defects logged", rows)


def log_tells(history: History, expect: Expect) -> Verdict:
    """Whatever was written to Plex has its line in the log."""
    told = {move.scene_id for move in history.moves}
    rows = [
        f"scene {scene_id} was written to and the log does not mention it"
        for scene_id in sorted({write.scene_id or 0 for write in history.writes} - told - {0})
    ]
    return _verdict(log_tells, f"{len(history.moves)} moves logged", "the log does not tell", rows)


def plays_leave_no_note(history: History, expect: Expect) -> Verdict:
    """An edit of what Plex does not show makes no job."""
    silent = [e for e in history.edits if e.kind == "plays"]
    busy = {move.scene_id for move in history.moves}
    rows = []
    for edit in silent:
        others = [e for e in history.edits if e.kind != "plays" and set(e.scene_ids) & set(edit.scene_ids)]
        if not others and busy & set(edit.scene_ids) and not history.marked("task"):
            rows.append(f"scene {edit.scene_ids[0]}: watching it made a job")
    return _verdict(plays_leave_no_note, f"{len(silent)} plays, no job of them", "a play made a job", rows)


def attempts_fair(history: History, expect: Expect) -> Verdict:
    """A server that is down costs no attempt: no letter says Unavailable, and nobody gives up on an outage."""
    rows = [
        f"scene {letter.scene_id} was given up as {letter.error_type} after {letter.attempts} attempts"
        for letter in history.letters
        if letter.error_type in ("Unavailable", "NeedsAttention", "SettingProblem")
    ]
    return _verdict(attempts_fair, "outages cost no attempt", "an outage cost a job its attempts", rows)


CHECKS: tuple[Check, ...] = (
    nothing_lost,
    plex_is_level,
    nothing_from_nowhere,
    duplicates_bounded,
    order_kept,
    newest_wins,
    ratings_reach_stash,
    dead_letters_deserved,
    attempts_fair,
    outages_true,
    hook_in_budget,
    status_true,
    log_tells,
    plays_leave_no_note,
    no_secret,
    no_defects,
    drained_in_time,
    nothing_left_running,
)


def judge(history: History, expect: Expect) -> tuple[Verdict, ...]:
    return tuple(check(history, expect) for check in CHECKS)


def counts(history: History) -> dict[str, int]:
    """The numbers a report begins with."""
    expect = Expect()
    return {
        "edits": sum(edit.outcome == OK for edit in history.edits),
        "lost": len(nothing_lost(history, expect).evidence),
        "duplicated": len(duplicates(history)),
        "dead": len(history.letters),
        "retried": Counter(move.action for move in history.moves)["postponed"],
        "outages": len(history.marked("down")),
        "kills": history.kills,
    }
