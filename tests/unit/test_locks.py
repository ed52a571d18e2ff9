"""A lock that dies with its holder, seen from other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plexsync.locks import CAN_BE_INHERITED, FileLock

ROOT = Path(__file__).resolve().parents[2]

HOLD = """
import sys, time
from plexsync.locks import FileLock
lock = FileLock(sys.argv[1])
print(lock.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "a.lock")


@pytest.fixture
def holder(path):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "True\n"
    yield child
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()


def test_one_holder_at_a_time(path):
    first, second = FileLock(path), FileLock(path)
    assert first.take()
    assert first.take()  # ours already
    assert not second.take()
    first.release()
    first.release()
    assert second.take()


def test_another_process_holds_it(path, holder):
    assert not FileLock(path).take()


def test_shared_holders_bear_each_other_and_nobody_else(path):
    one, two, whole = FileLock(path), FileLock(path), FileLock(path)
    assert one.take(shared=True)
    assert two.take(shared=True)
    assert not whole.take()
    one.release()
    assert not whole.take()
    two.release()
    assert whole.take()
    assert not one.take(shared=True)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_killed_is_released(path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert FileLock(path).take()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_frozen_is_not_released(path, holder):
    holder.send_signal(signal.SIGSTOP)
    assert not FileLock(path).take()
    holder.send_signal(signal.SIGCONT)


@pytest.mark.skipif(not CAN_BE_INHERITED, reason="a Windows lock stays with its process")
def test_a_child_goes_on_holding_it(path):
    lock = FileLock(path)
    assert lock.take()
    os.set_inheritable(lock.fd, True)
    code = (
        "import sys\n"
        "from plexsync.locks import FileLock\n"
        "import os\n"
        "lock = FileLock(sys.argv[1]); lock.adopt(int(sys.argv[2]))\n"
        "print(os.get_inheritable(lock.fd), flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, path, str(lock.fd)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(lock.fd,),
    )
    assert child.stdout.readline() == "False\n"  # its own children do not get it by accident
    lock.release()
    assert not FileLock(path).take()
    child.communicate("")
    assert FileLock(path).take()


def test_another_files_descriptor_is_not_adopted(path, tmp_path):
    lock = FileLock(path)
    with open(tmp_path / "other", "w") as other:
        assert not lock.adopt(other.fileno()), "there is no lock yet"
        assert lock.take()
        lock.release()
        assert not lock.adopt(other.fileno()) and not lock.adopt(-1) and not lock.adopt(999)
    assert lock.fd == -1
    with open(path, "r+") as same:
        assert lock.adopt(same.fileno())
        assert not FileLock(path).take()


def test_no_folder_is_an_error_not_a_held_lock(tmp_path):
    with pytest.raises(FileNotFoundError):
        FileLock(str(tmp_path / "none" / "a.lock")).take()


def test_the_holder_says_that_it_runs(path):
    lock = FileLock(path)
    assert lock.take()
    assert 0 <= FileLock(path).silent_s() < 5
    with open(path, encoding="ascii") as file:
        before = float(file.read())
    time.sleep(0.05)
    lock.beat()
    with open(path, encoding="ascii") as file:
        assert float(file.read()) > before


def test_a_shared_holder_says_nothing(path):
    assert FileLock(path).take(shared=True)
    assert os.path.getsize(path) == 0


def test_a_full_disk_does_not_keep_one_from_locking(path):
    code = (
        "import resource, signal, sys\n"
        "from plexsync.locks import FileLock\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "print(FileLock(sys.argv[1]).take())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_nothing_written_yet_is_no_silence(path):
    Path(path).write_bytes(b"")
    assert FileLock(path).silent_s() == 0.0
    Path(path).write_bytes(b"nonsense")
    assert FileLock(path).silent_s() == 0.0


def test_whether_it_is_held_is_asked_without_writing(path, holder):
    os.chmod(path, 0o444)
    before = Path(path).read_bytes()
    assert FileLock(path).is_held()
    holder.kill()
    holder.wait()
    assert not FileLock(path).is_held()
    assert Path(path).read_bytes() == before
    lock = FileLock(path)
    assert lock.take(), "the question is over"
    lock.release()
