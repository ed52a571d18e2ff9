"""Everything that stands in the queue's file: the tables of jobs and of what goes with them, in one layout version.

``ack_queue_default`` is the table of ``persistqueue.SQLiteAckQueue`` (persist-queue 1.1: ``_id, data, timestamp,
status`` first), with columns of ours after these.
"""

TABLE = "ack_queue_default"  # persist-queue's name for SQLiteAckQueue(name="default")
SCHEMA_VERSION = 1

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    data BLOB, timestamp FLOAT, status INTEGER,  -- up to here persist-queue's own
    key TEXT,                              -- "scene:12"; NULL for rows put through plain persist-queue
    checksum INTEGER,                      -- CRC-32 of data; NULL for rows put through plain persist-queue
    generation INTEGER NOT NULL DEFAULT 1, -- edits this row stands for
    attempts INTEGER NOT NULL DEFAULT 0,   -- claims that count, the present one included
    deaths INTEGER NOT NULL DEFAULT 0,     -- workers that died holding it, in a row
    due_at REAL NOT NULL DEFAULT 0,        -- wall seconds before which nobody claims it
    decided_at REAL NOT NULL DEFAULT 0,    -- wall seconds when due_at was set: a clock before that has been set back
    owner TEXT, token TEXT,                -- the lease of a row with status 2
    lease_boot TEXT, lease_until REAL,     -- monotonic seconds of the boot of that name
    first_failed_at REAL,
    last_error TEXT NOT NULL DEFAULT '',
    finished_at REAL,
    note TEXT NOT NULL DEFAULT ''          -- how it ended: synced, level, superseded ...
);
CREATE UNIQUE INDEX IF NOT EXISTS plexsync_waiting ON {TABLE}(key) WHERE status < 2;
CREATE INDEX IF NOT EXISTS plexsync_due ON {TABLE}(due_at, _id) WHERE status < 2;
CREATE INDEX IF NOT EXISTS plexsync_busy ON {TABLE}(key) WHERE status = 2;
CREATE INDEX IF NOT EXISTS plexsync_failed ON {TABLE}(_id) WHERE status = 9;
CREATE INDEX IF NOT EXISTS plexsync_done ON {TABLE}(finished_at) WHERE status = 5;
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER, key TEXT, scene_id INTEGER,
    data BLOB,                             -- the payload as it was, byte for byte
    error_type TEXT NOT NULL, message TEXT NOT NULL, traceback TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 1,
    enqueued_at REAL, first_failed_at REAL, failed_at REAL NOT NULL,
    replayed_at REAL, replayed_as INTEGER  -- NULL while it waits for somebody to look
);
CREATE INDEX IF NOT EXISTS plexsync_open_letters ON dead_letters(failed_at) WHERE replayed_at IS NULL;
CREATE TABLE IF NOT EXISTS spooled (event TEXT PRIMARY KEY, merged_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO tally VALUES ('kept', 0), ('finished', 0), ('superseded', 0);
CREATE TRIGGER IF NOT EXISTS plexsync_kept_in AFTER UPDATE OF status ON {TABLE} WHEN new.status = 5 AND old.status <> 5
BEGIN UPDATE tally SET value = value + 1 WHERE name = 'kept'; END;
CREATE TRIGGER IF NOT EXISTS plexsync_kept_out AFTER UPDATE OF status ON {TABLE} WHEN old.status = 5 AND new.status <> 5
BEGIN UPDATE tally SET value = value - 1 WHERE name = 'kept'; END;
CREATE TRIGGER IF NOT EXISTS plexsync_kept_new AFTER INSERT ON {TABLE} WHEN new.status = 5
BEGIN UPDATE tally SET value = value + 1 WHERE name = 'kept'; END;
CREATE TRIGGER IF NOT EXISTS plexsync_kept_gone AFTER DELETE ON {TABLE} WHEN old.status = 5
BEGIN UPDATE tally SET value = value - 1 WHERE name = 'kept'; END;
CREATE TABLE IF NOT EXISTS breakers (server TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, server TEXT NOT NULL, cause TEXT NOT NULL,
    started_at REAL NOT NULL, ended_at REAL, waiting INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# Which item of Plex a person chose for a scene whose file several have. The sync state makes this table and uses it; it
# stands here because it is no cache: recovery takes it over from a damaged file.
CHOICES = """
CREATE TABLE IF NOT EXISTS choices (
    server TEXT NOT NULL, scene_id INTEGER NOT NULL, rating_key INTEGER NOT NULL, chosen_at REAL NOT NULL,
    PRIMARY KEY (server, scene_id)
) WITHOUT ROWID;
"""
# What Plex had before PlexSync changed it, and which scenes a person had undone: the way back, and no cache either.
ORIGINALS = """
CREATE TABLE IF NOT EXISTS originals (  -- what a field had before the first change
    server TEXT NOT NULL, rating_key INTEGER NOT NULL, field TEXT NOT NULL,
    value TEXT NOT NULL, locked INTEGER NOT NULL,  -- JSON
    scene_id INTEGER NOT NULL, files TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (server, rating_key, field)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS originals_scene ON originals(server, scene_id);
CREATE TABLE IF NOT EXISTS overwritten (  -- the last values of a field that were overwritten
    id INTEGER PRIMARY KEY, server TEXT NOT NULL, rating_key INTEGER NOT NULL, field TEXT NOT NULL,
    value TEXT NOT NULL, locked INTEGER NOT NULL, scene_id INTEGER NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS overwritten_item ON overwritten(server, rating_key, field);
CREATE INDEX IF NOT EXISTS overwritten_at ON overwritten(server, at);
CREATE TABLE IF NOT EXISTS undone (  -- scenes that stay untouched until they are edited
    server TEXT NOT NULL, scene_id INTEGER NOT NULL, content TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (server, scene_id)
) WITHOUT ROWID;
"""
# Which server a postponed job waits for, so that its recovery makes the job due. Apart from SCHEMA, whose text a file
# is compared with: a file has this table from the first job that is postponed.
WAITS_FOR = "CREATE TABLE IF NOT EXISTS waits_for (job_id INTEGER PRIMARY KEY, server TEXT NOT NULL);"
# What finished jobs left undone, by kind (core.job.Remark). Apart from SCHEMA for the same reason.
REMARKS = (
    "CREATE TABLE IF NOT EXISTS remarks (job_id INTEGER NOT NULL, kind TEXT NOT NULL, what TEXT NOT NULL);"
)
