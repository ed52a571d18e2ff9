"""The same work for a person at a terminal, beside a running worker: ``python PlexSync.py status``.

Exit status: 0 OK; 1 not all is (doctor found trouble, drain left something waiting, diff found something that
would change; each command's help says what); 2 the command line is wrong; 3 the queue, a server or a file cannot be
used; 130 interrupted. ``--json`` answers with one JSON document on standard output whatever the status, ``export`` with
one a line; it is UTF-8 or ASCII whatever the console's encoding. NO_COLOR and a dumb terminal are respected.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys

import click

from plexsync import __version__, context
from plexsync.ui import operations, session
from plexsync.ui.arguments import NUMBER_MAX
from plexsync.ui.console import (
    AS_JSON,
    DATA,
    FINDINGS,
    INTERRUPTED,
    INTERRUPTION,
    OK,
    UNUSABLE,
    USAGE,
    Console,
    as_json,
    data_folder,
    given_before,
    options,
    status_of,
)

OPEN_TO_OTHERS = 0o666  # a file the user named, as the umask has it; all else is for its owner alone


def main(argv: list[str]) -> int:
    """Run one command; gives the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a title may hold what a Windows console has no letter for
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(argv)
    except (BrokenPipeError, SystemExit):  # the reader, head for one, has seen enough; click then exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK


def _run(argv: list[str]) -> int:
    try:
        colour = None if context.wants_colour() else False  # None: where it is a terminal
        status = cli.main(argv, prog_name="PlexSync", standalone_mode=False, color=colour)
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        click.echo(help_wanted.format_message())
        return OK
    except click.ClickException as wrong:
        if "--json" in argv:
            click.echo(as_json({"error": wrong.format_message()}))
        else:
            wrong.show()
        return USAGE
    except click.Abort:
        return INTERRUPTED
    return int(status or OK)


@click.group(
    epilog="Exit status: 0 OK, 1 findings, 2 wrong command line, 3 queue, server or file not usable, "
    "130 interrupted."
)
@click.version_option(__version__, prog_name="PlexSync")
@DATA
@AS_JSON
def cli(data: str | None, as_json: bool) -> None:
    """PlexSync's queue, for a person. Every command may be used while a worker runs."""


@cli.command()
@DATA
@click.option("--lock-fd", type=int, default=-1, hidden=True, help="The worker's lock, already held.")
@click.option("--successor", is_flag=True, hidden=True, help="Begin when standard input ends.")
def worker(data: str | None, lock_fd: int, successor: bool) -> int:
    """Be the worker: sync until no job was pending for a while. Logs to plexsync.log in the data folder."""
    from plexsync.sync import daemon

    folder = os.path.abspath(data or given_before("data") or data_folder())
    if successor:
        sys.stdin.buffer.read()
    try:
        return daemon.serve(folder, lock_fd)
    except session.TROUBLES as trouble:
        click.secho(session.sentence(trouble, folder), fg="red", err=True)
        return UNUSABLE


@cli.command()
@options
def status(console: Console) -> int:
    """How many jobs are pending, in progress, done and dead, and what blocks the queue."""
    console.show(console.run("queue_status"))
    return OK


NUMBER = click.IntRange(1, 10**18 - 1)  # of a scene, an item, a letter: what the queue's columns hold
HOURS = click.FloatRange(0, NUMBER_MAX)
MOST = click.IntRange(1, NUMBER_MAX)
NUMBER.name = HOURS.name = MOST.name = "number"  # 'x' is not a valid number
LIMIT = click.option(
    "--limit", type=MOST, default=operations.JOBS_SHOWN, show_default=True, help="How many at most."
)


@cli.command()
@click.argument("scene_ids", metavar="[SCENE]...", type=NUMBER, nargs=-1)
@click.option("--since", metavar="TIME", help="Back to what Plex had then: hours ago, or 2026-12-01T10:00.")
@click.option("--all", "everything", is_flag=True, help="Every item PlexSync has ever changed.")
@click.option("--dry-run", is_flag=True, help="Only show what would be restored.")
@options
def undo(
    console: Console, scene_ids: tuple[int, ...], since: str | None, everything: bool, dry_run: bool
) -> int:
    """Bring Plex back to what it had before PlexSync, values and locks.

    The scenes stay untouched until they are edited in Stash again. Status 1: some could not be restored.
    """
    answer = console.run(
        "undo", {"scene_ids": list(scene_ids), "since": since, "all": everything, "dry_run": dry_run}
    )
    console.show(answer)
    return FINDINGS if answer["failed"] else OK


@cli.command()
@LIMIT
@options
def queue(console: Console, limit: int) -> int:
    """The pending jobs, in the order in which they are due."""
    console.show(console.run("queue", {"limit": limit})["queue"])
    return OK


@cli.command()
@click.argument("letter_id", metavar="[NUMBER]", type=NUMBER, required=False)
@click.option("--type", "error_type", help="Only those of this error type.")
@LIMIT
@options
def dead(console: Console, letter_id: int | None, error_type: str | None, limit: int) -> int:
    """The dead letters, the newest first, or all that is known of the one named by its number.

    Status 1: there is none of that number.
    """
    found = console.run("dead", {"ids": letter_id, "error_type": error_type, "limit": limit})["dead_letters"]
    if letter_id is None:
        console.show(found)
    elif found:
        console.show(found[0])
    else:
        console.show({"error": f"There is no dead letter {letter_id}."})
        return FINDINGS
    return OK


@cli.command()
@click.argument("letter_ids", metavar="[NUMBER]...", type=NUMBER, nargs=-1)
@click.option("--type", "error_type", help="All of this error type.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@options
def retry(console: Console, letter_ids: tuple[int, ...], error_type: str | None, everything: bool) -> int:
    """Queue the scenes of dead letters again: those named, of one type, or all.

    Status 1: there was none of these.
    """
    if not (letter_ids or error_type or everything):
        raise click.UsageError("Name dead letters by their numbers, or use --type or --all.")
    answer = console.run("retry_dlq", {"ids": letter_ids, "error_type": error_type})
    console.show(answer)
    return OK if answer["replayed"] or everything else FINDINGS


@cli.command()
@click.argument("scene_id", metavar="[SCENE]", type=NUMBER, required=False)
@click.argument("rating_key", metavar="[RATING_KEY]", type=NUMBER, required=False)
@options
def choose(console: Console, scene_id: int | None, rating_key: int | None) -> int:
    """Say which Plex item a scene is, when several have its file; the choice is kept and the scene queued again.

    Without RATING_KEY the items are listed, and without SCENE the scenes that need a choice. Status 1: a choice is
    still needed, or was not needed.
    """
    answer = console.run("choose", {"scene_id": scene_id, "rating_key": rating_key})
    console.show(answer)
    if scene_id is None:
        return FINDINGS if answer["waiting"] else OK
    if rating_key is None:
        return FINDINGS if answer["candidates"] and not answer["chosen"] else OK
    return OK if answer["chosen"] == rating_key else FINDINGS


@cli.command()
@options
def outages(console: Console) -> int:
    """How often Stash and Plex were unreachable, since when and why.

    Status 1: one of them is unreachable now.
    """
    answer = console.run("outage_summary")
    for outage in answer["outages"]:
        console.say(
            f"{outage['server']}: {outage['started_at']} to {outage['ended_at'] or 'now'}: {outage['cause']}"
        )
    console.show(answer)
    return FINDINGS if any(each["ongoing"] for each in answer["servers"].values()) else OK


SCOPES = {
    "recent": "reconcile_recent",
    "7days": "reconcile_7days",
    "all": "reconcile_all",
    "missing": "reconcile_missing",
}


@cli.command()
@click.option("--scope", type=click.Choice(list(SCOPES)), default="recent", show_default=True, help="Which.")
@click.option("--hours", type=HOURS, default=24, show_default=True, help="How recent, with --scope recent.")
@click.option("--force", is_flag=True, help="Compare every field of every item, whatever Plex lists.")
@options
def reconcile(console: Console, scope: str, hours: float, force: bool) -> int:
    """Queue the scenes that are out of sync with Plex, by what both sides list; or report what one side does not have.

    Status 1: with --scope missing, something is missing.
    """
    answer = console.run(SCOPES[scope], {"hours": hours, "force": force})
    console.show(answer)
    return FINDINGS if scope == "missing" and (answer["scenes"] or answer["items"]) else OK


@cli.command()
@click.option(
    "--output", metavar="FILE", default="-", show_default=True, help="Where to; - is standard output."
)
@options
def export(console: Console, output: str) -> int:
    """Everything the queue's file holds, one JSON object a line: jobs, dead letters, sync state, choices."""
    store = console.session.reading  # trouble with it is none of the file's
    named = contextlib.nullcontext(sys.stdout) if output == "-" else session.replacing(output, OPEN_TO_OTHERS)
    with named as file:
        operations.export_to(store, lambda row: file.write(f"{as_json(row)}\n"))
        file.flush()
    return OK


@cli.command()
@click.argument("scene_ids", metavar="[SCENE]...", type=NUMBER, nargs=-1)
@click.option("--recent", is_flag=True, help="The scenes Stash has changed lately.")
@click.option("--hours", type=HOURS, default=24, show_default=True, help="How lately, with --recent.")
@click.option("--all", "everything", is_flag=True, help="All scenes.")
@click.option("--in-sync", is_flag=True, help="Show also the scenes that are in sync.")
@click.option("--level", is_flag=True, hidden=True)  # the name it had
@click.option("--html", "page", metavar="FILE", help="Write it as a page for a browser instead.")
@options
def diff(
    console: Console,
    scene_ids: tuple[int, ...],
    recent: bool,
    hours: float,
    everything: bool,
    in_sync: bool,
    level: bool,
    page: str | None,
) -> int:
    """What a sync would change, field by field, and why it would leave scenes alone; nothing is written.

    Status 1: something would change, or something is in the way.
    """
    from plexsync.ui import diff as looking

    if bool(scene_ids) + recent + everything != 1:
        raise click.UsageError("Name scenes by their numbers, or use --recent or --all.")
    args = {"scene_id": list(scene_ids), "scope": "all" if everything else "recent", "hours": hours}
    shown = 0

    def show(preview: looking.Preview) -> None:
        nonlocal shown
        if console.as_json:
            console.write(("," if shown else '{"previews": [') + "\n  " + as_json(looking.as_json(preview)))
        elif not page:
            rows = looking.rows(preview) if shown else [looking.HEADINGS, *looking.rows(preview)]
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            console.write("".join(f"{line}\n" for line in looking.table(rows, width)))
        shown += 1

    def end(rest: dict[str, object]) -> None:
        """Close the object that ``show`` began, so that also an answer cut short can be read."""
        console.write(("\n], " if shown else '{"previews": [], ') + as_json(rest)[1:] + "\n")

    try:
        named = in_sync or level or bool(scene_ids)
        tally, _ = operations.preview_all(console.session, args, show, page, named, OPEN_TO_OTHERS)
    except (KeyboardInterrupt, *session.TROUBLES) as trouble:
        if not console.as_json:
            raise
        if isinstance(trouble, KeyboardInterrupt):
            end({"error": INTERRUPTION})
            return INTERRUPTED
        end({"error": session.sentence(trouble, console.session.data_dir)})
        return status_of(trouble)
    if console.as_json:
        end({**tally.as_json(), "page": page})
    else:
        console.write(f"{tally.sentence()}\n")
    return OK if tally.calm else FINDINGS


@cli.command()
@options
def drain(console: Console) -> int:
    """Work until no job is due any more, or watch a worker do so.

    Status 1: jobs are still pending, for the reasons it names.
    """
    answer = console.run("process_queue")
    console.show(answer)
    return FINDINGS if answer["waiting"] else OK


@cli.command()
@options
def doctor(console: Console) -> int:
    """Try everything a sync needs, and say what is wrong and what to do about it.

    Status 1: something is wrong.
    """
    answer = console.run("health_check")
    console.show(answer)
    return OK if answer["healthy"] else FINDINGS
