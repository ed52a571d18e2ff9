"""A child under strace: its system calls recorded, or one of them made to fail, or to be its last.

Skips loudly where there is no strace or the kernel refuses it; where CI is set in the environment that is a failure.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITING = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "unlink", "rename", "link", "mkdir")


@functools.cache
def refusal() -> str:
    """Why strace cannot be used here; "" when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"strace may not trace: {done.stderr.strip()}"


def needed() -> None:
    """Skip the test that calls it, or fail it in CI, where strace is to be there."""
    if refusal():
        if os.environ.get("CI"):
            pytest.fail(refusal())
        pytest.skip(refusal())


def run(name: str, folder: str, *options: str, output: str = os.devnull) -> tuple[tuple[str, ...], int]:
    """The child's work under strace: what it said, and its exit status (below 0: the signal)."""
    ours, theirs = socket.socketpair()
    command = ["strace", "-f", "--seccomp-bpf", "-qqq", "-o", output, *options]
    command += [sys.executable, "-B", "-m", "tests.crash.child", name, folder, str(theirs.fileno())]
    child = subprocess.Popen(
        command, cwd=ROOT, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True, errors="replace"
    )
    theirs.close()
    with ours, ours.makefile(encoding="utf-8") as voice:
        said = tuple(line.rstrip("\n") for line in voice)
    _, err = child.communicate(timeout=60)
    assert child.returncode in (0, -9, 137), f"status {child.returncode}: {err[-2000:]}"
    return said, child.returncode


def calls(name: str, folder: str, log: str) -> Counter[str]:
    """How often each writing system call is made."""
    run(name, folder, "-e", "trace=" + ",".join(WRITING), output=log)
    found = re.findall(r"^\d+ +(\w+)\(", Path(log).read_text(errors="replace"), re.MULTILINE)
    return Counter(call for call in found if call in WRITING)


FAULTS = {
    "EIO once": "error=EIO:when={n}",
    "EIO from then on": "error=EIO:when={n}+",
    "ENOSPC from then on": "error=ENOSPC:when={n}+",
    "killed": "signal=SIGKILL:when={n}",
}


def faulted(name: str, folder: str, call: str, fault: str, n: int) -> tuple[tuple[str, ...], int]:
    return run(name, folder, "-e", f"trace={call}", "-e", f"inject={call}:{FAULTS[fault].format(n=n)}")
