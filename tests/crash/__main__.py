"""``make crash``: every way of breaking the queue at full size, and what it came to.

    python -m tests.crash [pytest arguments]

Ends with 1 when anything was violated, when a seeded bug was missed, or when less was tried than LEAST says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from tests.crash.mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("test_kills.py", "test_syscalls.py", "test_powerloss.py", "test_mutants.py")
LEAST = {
    "crash points": 5_000,
    "system-call faults": 1_000,
    "power-loss states": 50_000,
    "WAL cuts": 80_000,
    "seeded bugs caught": 20,
}


def main() -> int:
    number: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    took: dict[str, float] = {}
    reports: list[str] = []
    status = 0
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.xml")
            command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal"]
            command += [
                "--junit-xml",
                str(report),
                "-o",
                "junit_family=xunit1",
                f"tests/crash/{part}",
                *sys.argv[1:],
            ]
            began = time.monotonic()
            done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PLEXSYNC_FULL": "1"})
            status = status or done.returncode
            took[part] = time.monotonic() - began
            for case in ElementTree.parse(report).iter("testcase"):
                for said in case.iter("property"):
                    name, value = said.get("name", ""), said.get("value", "")
                    if name == "report":
                        reports.append(value)
                        continue
                    number[name] += int(value)
                    seconds[name] += float(case.get("time", 0))
    print("\nSeeded bugs, and the named check that caught each:\n")
    print("\n".join(sorted(reports)))
    print(f"\n{number['seeded bugs caught']} of {len(MUTANTS)} caught\n")
    if number["seeded bugs caught"] != len(MUTANTS):
        status = 1
    for name, least in LEAST.items():
        enough = number[name] >= least
        status = status or int(not enough)
        print(
            f"{number[name]:8} {name:20} ({seconds[name]:.0f} s of one core){'' if enough else '  TOO FEW'}"
        )
    print("\n" + ", ".join(f"{part} {spent:.0f} s" for part, spent in took.items()))
    print("no violation" if not status else "FAILED")
    return status


if __name__ == "__main__":
    sys.exit(main())
