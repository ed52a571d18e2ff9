"""The fast path: one event in, one row written, one answer out.

Stash waits for this process inside the user's save, so it imports the standard library only and little of that, opens
no socket and reads no setting. What it must promise is small: when it answers without an error, the edit is on disk.
"""

from __future__ import annotations

import os
import sys
import time

from plexsync.locks import CAN_BE_INHERITED, FileLock
from plexsync.protocol import Hook
from plexsync.queue import database, events

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

UPDATE_TYPES = {"Scene.Create.Post": "create", "Scene.Update.Post": "update", "Scene.Destroy.Post": "destroy"}

# Other things whose edit changes what Plex shows of all their scenes, although Stash touches none of these and fires no
# Scene hook (pkg/plugin/hook/hooks.go): the hook, the entity of the note, and the fields that matter. Stash fires the
# Group hooks under the name Movie as well; those are not asked for.
ENTITY_HOOKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Performer.Update.Post": (
        "performer",
        ("name", "image", "disambiguation", "gender", "country", "birthdate"),
    ),
    "Studio.Update.Post": ("studio", ("name", "parent_id")),
    "Tag.Update.Post": ("tag", ("name",)),
    "Tag.Merge.Post": ("tag", ()),
    "Group.Update.Post": ("group", ("name",)),
}
# Of what was deleted Stash cannot say any more which scenes it was of, nor what it was called. So one note, however
# many are deleted together, asks for a look at all scenes that were in sync once.
DELETED = {f"{kind}.Destroy.Post": kind.lower() for kind in ("Performer", "Studio", "Tag", "Group")}

# Every field of Stash 0.30's SceneUpdateInput and BulkSceneUpdateInput, and whether an edit of it can change anything
# in Plex. A name that is not here comes from another Stash: it is kept, since a look too many costs nothing but time.
FIELDS = {
    "bulk_update_ids": False,
    "clientMutationId": False,
    "code": True,
    "cover_image": True,
    "date": True,
    "details": True,
    "director": True,
    "gallery_ids": False,
    "group_ids": True,
    "groups": True,
    "id": False,
    "ids": False,
    "movie_ids": True,
    "movies": True,
    "o_counter": False,
    "organized": True,  # rules may ask for it
    "performer_ids": True,
    "play_count": False,
    "play_duration": False,
    "primary_file_id": True,  # another file, another item
    "rating": True,
    "rating100": True,
    "resume_time": False,
    "stash_ids": True,  # rules may ask for it
    "studio_id": True,
    "tag_ids": True,
    "title": True,
    "url": False,
    "urls": False,
}

# A worker that has not said for this long that it runs is frozen, and another may start beside it, under the next
# lock. Should it wake up, its leases have expired and it can change nothing that is no longer its own.
FROZEN_S = 180.0
WORKER_LOCKS = ("worker.lock", "worker-2.lock")

LOG_PAGES = 16_000  # of 4 KiB in the write-ahead log, from which on even a hook copies it back


class CannotKeep(Exception):
    """Neither the queue nor the spool took the edit; the text says why, for the user."""


def event_of(hook: Hook) -> dict[str, object] | None:
    """What to queue for this hook, or None when it concerns nothing that Plex shows.

    Stash's form sends every field it has, changed or not, and its stars and counters send theirs alone; without
    ``inputFields`` (scan, sceneCreate) anything may have changed.
    """
    if hook.type in ENTITY_HOOKS:
        entity, matter = ENTITY_HOOKS[hook.type]
        named = sorted(name for name in hook.input_fields if name in matter)
        if matter and hook.input_fields and not named:
            return None
        return events.new_event(hook.scene_id, "update", named, entity=entity)
    if hook.type in DELETED:
        return events.new_event(1, "destroy", [DELETED[hook.type]], entity=events.LIBRARY)
    update_type = UPDATE_TYPES.get(hook.type)
    if update_type is None:
        return None
    fields = sorted(name for name in hook.input_fields if FIELDS.get(name, True))
    if hook.input_fields and not fields:
        return None
    data: dict[str, object] = {}
    if update_type == "destroy" and isinstance(hook.input, dict):
        # The scene is gone: what Stash says here is all there will ever be to know of it.
        said = {name: hook.input.get(name) for name in ("path", "checksum", "oshash")}
        data = {name: value for name, value in said.items() if isinstance(value, str) and value}
    return events.new_event(hook.scene_id, update_type, fields, data)


def keep(data_dir: str, event: dict[str, object]) -> str:
    """Put the event where it cannot be lost and say where: "queued", "merged" into a waiting row, or "spooled".

    Raises CannotKeep when neither place takes it.
    """
    try:
        return _queue(data_dir, event)
    except (*database.QueueError, OSError, ValueError) as error:  # the last for a name no folder can have
        queue_trouble = error
    try:
        from plexsync.queue import spool  # seldom needed, and each import costs the user's save

        spool.write(data_dir, event)
    except (OSError, ValueError) as error:
        raise CannotKeep(
            f"PlexSync could not keep the edit of {events.key_of(event)}: the queue in {data_dir} says "
            f"“{queue_trouble}” and the spool says “{error}”. Check that the folder exists, is writable and has room, "
            "then save the scene again or run the task that syncs recent changes."
        ) from None
    return "spooled"


def _queue(data_dir: str, event: dict[str, object]) -> str:
    path = database.queue_file(data_dir)
    if not os.path.exists(path):
        database.create(path)
    found = database.identity(path)
    db = database.connect(path)
    # Never closed on purpose: the last one to close a WAL file copies it back and syncs several times more, which the
    # worker does in its own time. The process is about to end. The same goes for copying the log back once it is
    # long; only where no worker ever comes must somebody do it.
    db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    database.begin(db)
    try:
        _, generation = events.insert(db, event, time.time())
        db.execute("COMMIT")
    except BaseException:
        # A failed COMMIT may or may not have landed; the event then comes again by the spool under the same id.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    if database.identity(path) != found:
        raise OSError("the queue file was replaced at this very moment")
    return "queued" if generation == 1 else "merged"


# ---- the worker -----------------------------------------------------------------------------------------------


def remember(data_dir: str, connection: Mapping[str, object]) -> None:
    """Leave Stash's address and cookie for the worker, readable by this user alone.

    In a file because a command line and an environment can be read by others. Only a hint (the next hook brings
    another), so it is not synced and a failure to write it is none of the event's.
    """
    path = os.path.join(data_dir, "connection.json")
    part = f"{path}.{os.getpid()}"
    body = events.encode(connection).encode("ascii")
    try:
        if _holds(path, body):
            return
        if os.path.lexists(part):
            os.unlink(part)  # of a process that had our number before us and was killed right here
        fd = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            whole = os.write(fd, body) == len(body)
        finally:
            os.close(fd)
        if whole:
            os.replace(part, path)
            return
    except OSError:
        pass
    try:
        os.unlink(part)  # no room, or Windows, where nobody replaces a file that somebody is reading
    except OSError:
        pass


def _holds(path: str, body: bytes) -> bool:
    """Whether the file is there already as it is to be: one look instead of four changes of its folder."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return os.fstat(fd).st_mode & 0o077 == 0 and os.read(fd, len(body) + 1) == body
    finally:
        os.close(fd)


def wake_worker(data_dir: str) -> bool:
    """Start a worker unless one holds the lock of this folder; True when one was started.

    A running worker looks at the queue by itself several times a second, so there is nobody to tell. The lock is
    taken here and given to the child as an open descriptor; two hooks at once therefore start one. Failing to start
    one loses nothing: the row is on disk, and the next hook or task tries again.
    """
    for name in WORKER_LOCKS:
        lock = FileLock(os.path.join(data_dir, name))
        try:
            taken = lock.take()
        except OSError:
            return False
        if not taken:
            if lock.silent_s() < FROZEN_S:
                return False
            continue  # it lives and does nothing: stopped, or stuck in a dead disk; what it holds will expire
        try:
            if CAN_BE_INHERITED:
                _start(data_dir, lock.fd)
            else:
                lock.release()  # a Windows lock stays with its process, so the child takes it anew
                _start(data_dir, -1)
        except OSError:
            return False
        finally:
            lock.release()
        return True
    return False


def worker_command(data_dir: str, *more: str) -> list[str]:
    """The command line of a worker of this folder."""
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "PlexSync.py")
    return [sys.executable, script, "worker", "--data", os.path.abspath(data_dir), *more]


def _start(data_dir: str, lock_fd: int) -> None:
    """The worker, in a session of its own, with none of Stash's pipes.

    Stash reads a plugin's stdout until the last holder closes it (``pkg/plugin/raw.go``), so a child that kept it
    would hold the user's save for as long as it lives.
    """
    command = worker_command(data_dir, "--lock-fd", str(lock_fd))
    log = os.path.join(data_dir, "plexsync.log")
    if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
        import subprocess

        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
        # For what Python itself has to say at a crash. Not the log: whoever has that open keeps it from being renamed.
        with open(os.path.join(data_dir, "worker.err"), "ab") as out:
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, close_fds=True, creationflags=flags
            )
        return
    os.set_inheritable(lock_fd, True)
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, appending, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)
    except (NotImplementedError, AttributeError):  # a C library without POSIX_SPAWN_SETSID, or without it all
        import subprocess

        with open(os.open(log, appending, 0o600), "ab") as out:
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(lock_fd,),
                start_new_session=True,
            )


def run(hook: Hook) -> str:
    """Keep the event, see that a worker is there, and say in one sentence what was done. Raises CannotKeep."""
    event = event_of(hook)
    if event is None:
        return f"{hook.type} {hook.scene_id}: nothing that Plex shows was edited"
    data_dir = database.data_folder(hook.connection)
    done = keep(data_dir, event)
    if hook.connection:
        remember(data_dir, hook.connection)
        wake_worker(data_dir)
    return f"{hook.type} {hook.scene_id}: {done}"
