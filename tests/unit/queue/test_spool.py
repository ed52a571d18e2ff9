"""The spool: what is written beside the file, as it is found on disk."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from plexsync.queue import events, spool

ROOT = Path(__file__).resolve().parents[3]


# ---- the spool ----


def test_a_spooled_event_comes_back(tmp_path):
    one = events.new_event(7, "update", ["title"], {"note": "\ud83d\x00\U0001f600"})
    path = spool.write(str(tmp_path), one)
    assert spool.read(Path(path).read_bytes()) == one
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path / "spool") == [os.path.basename(path)]


def test_spool_files_sort_by_time(tmp_path):
    paths = [spool.write(str(tmp_path), events.new_event(n, "update", [])) for n in range(1, 30)]
    assert sorted(paths) == paths


def test_an_event_cut_at_any_byte_is_no_event(tmp_path):
    raw = Path(spool.write(str(tmp_path), events.new_event(7, "update", ["title"]))).read_bytes()
    for end in range(len(raw) - 1):  # all but the newline
        assert spool.read(raw[:end]) is None, end


def test_an_event_with_any_bit_flipped_is_no_event_or_the_same(tmp_path):
    one = events.new_event(7, "update", ["title"])
    raw = Path(spool.write(str(tmp_path), one)).read_bytes()
    for at in range(len(raw)):
        for bit in range(8):
            bad = bytearray(raw)
            bad[at] ^= 1 << bit
            assert spool.read(bytes(bad)) in (None, one), (at, bit)


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"\n",
        b"{}",
        b"[]",
        b"null",
        b'{"event":{}}',
        b'{"checksum":0,"event":null}',
        b'{"checksum":"x","event":{"scene_id":1}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"PK\x03\x04",
    ],
)
def test_what_is_foreign_is_no_event(odd):
    assert spool.read(odd) is None


@pytest.mark.parametrize(
    "change",
    [
        {"scene_id": 0},
        {"scene_id": True},
        {"scene_id": "7"},
        {"scene_id": 2**63},
        {"update_type": "rename"},
        {"fields": "title"},
        {"event": 5},
    ],
)
def test_a_sound_file_with_an_impossible_event_is_no_event(change):
    odd = {**events.new_event(7, "update", []), **change}
    text = events.encode(odd)
    assert spool.read(f'{{"checksum":{events.checksum(text)},"event":{text}}}'.encode()) is None


def test_what_could_not_be_spooled_leaves_nothing(tmp_path):
    code = (
        "import resource, signal, sys\n"
        "from plexsync.queue import database, events, layout, spool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))\n"
        "try:\n"
        "    spool.write(sys.argv[1], events.new_event(7, 'update', ['title']))\n"
        "except OSError as error:\n"
        "    print('refused', error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("refused")
    assert os.listdir(tmp_path / "spool") == []
