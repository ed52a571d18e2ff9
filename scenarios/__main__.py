"""`python -m scenarios`. Exit status 0 when every verdict holds, 1 when one does not, 2 for a wrong call."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from scenarios.cases import all_cases
from scenarios.demo import SCENARIO as DEMO
from scenarios.runner import Result, play_all


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scenarios", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every scenario and what it is about")
    run = commands.add_parser("run", help="play scenarios in real worlds and judge them")
    run.add_argument("names", nargs="*", metavar="NAME", help="default: all cases")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--html", type=Path, metavar="FILE", help="a report for people")
    run.add_argument("--junit", type=Path, metavar="FILE")
    run.add_argument("--json", type=Path, metavar="FILE")
    run.add_argument("--keep", type=Path, metavar="DIR", help="leave each world's files here")
    fuzz = commands.add_parser("fuzz", help="random trouble in simulated worlds")
    fuzz.add_argument("--runs", type=int, default=0, metavar="N", help="worlds to draw (default 150)")
    fuzz.add_argument("--seed", type=int, default=0, help="of the first; the others follow")
    fuzz.add_argument(
        "--shard", default="1/1", metavar="I/N", help="only every N-th, beginning with the I-th"
    )
    fuzz.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    fuzz.add_argument("--acts", metavar="1,2,3", help="with --runs 1: only these acts, and the log of events")
    demo = commands.add_parser("demo", help="watch edits arrive in spite of an outage and kills")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--serve", action="store_true", help="keep it up, with a live page to play with")
    demo.add_argument("--port", type=int, default=0, help="of the live page (default: a free one)")
    demo.add_argument("--stash", metavar="URL", help="with --plex and --tag: compare servers of your own")
    demo.add_argument(
        "--plex", metavar="URL", help="PLEX_TOKEN and STASH_API_KEY are read from the environment"
    )
    demo.add_argument("--tag", metavar="NAME", help="only scenes that have this tag in Stash")
    demo.add_argument("--write", action="store_true", help="write what differs to Plex; else nothing is")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _stop)  # a world is taken down on the way out, as for Ctrl-C
    try:
        return int(COMMANDS[args.command](args))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, head for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _list(args: argparse.Namespace) -> int:
    cases = all_cases()
    width = max(map(len, cases))
    for name, scenario in cases.items():
        print(
            f"{name:{width}}  {'real, simulated' if scenario.simulated() else 'real':15}  {scenario.about.strip()}"
        )
    return 0


def _run(args: argparse.Namespace) -> int:
    cases = {**all_cases(), DEMO.name: DEMO}
    unknown = [name for name in args.names if name not in cases]
    if unknown:
        print(f"no such scenario: {', '.join(unknown)}; see `list`", file=sys.stderr)
        return 2
    chosen = [cases[name] for name in args.names] or [case for case in cases.values() if case.in_run]
    print(f"seed {args.seed}, {len(chosen)} scenarios, two at a time", flush=True)
    results = play_all(chosen, args.seed, args.keep, _Teller(len(chosen)), gaps=bool(args.names))
    for file, make in ((args.html, _html), (args.junit, _junit), (args.json, _json)):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(make(results), encoding="utf-8")
    passed = sum(result.passed and not result.skipped for result in results)
    failed = sum(not result.passed for result in results)
    skipped = sum(bool(result.skipped) for result in results)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    unplayed = sum(bool(result.skipped) and not result.scenario.gap for result in results)
    return 1 if failed or (unplayed and os.environ.get("CI")) else 0


class _Teller:
    """One line a scenario as it ends; what does not hold in full."""

    def __init__(self, of: int) -> None:
        self.of, self.done, self.mutex = of, 0, threading.Lock()

    def __call__(self, result: Result) -> None:
        with self.mutex:
            self.done += 1
            word = "SKIPPED" if result.skipped else "ok" if result.passed else "FAILED"
            row = result.as_json()
            counts = row["counts"]
            told = result.skipped or (
                f"{counts['edits']} edits, {counts['kills']} kills, {counts['duplicated']} repeated, "
                f"{counts['dead']} dead, hook p95 {row['hook_ms']['p95']:.0f} ms, {row['seconds']:.1f} s"
            )
            print(f"[{self.done:2}/{self.of}] {word:7} {result.scenario.name:32} {told}", flush=True)
            for verdict in result.verdicts:
                if not verdict.holds:
                    print(f"         {verdict.check}: {verdict.sentence}")
                    for line in verdict.evidence:
                        print(f"             {line}")
            if not result.passed:
                print(
                    f"         again: python -m scenarios run {result.scenario.name} --seed {result.history.seed}"
                )


def _json(results: list[Result]) -> str:
    return json.dumps([result.as_json() for result in results], ensure_ascii=False, indent=1) + "\n"


def _junit(results: list[Result]) -> str:
    from scenarios.report import junit

    return junit(results)


def _html(results: list[Result]) -> str:
    from scenarios.report import html

    return html(results)


def _demo(args: argparse.Namespace) -> int:
    if args.stash or args.plex or args.tag or args.write:
        if not (args.stash and args.plex and args.tag) or args.serve:
            print("--stash, --plex and --tag belong together, without --serve", file=sys.stderr)
            return 2
        from scenarios import elsewhere

        return elsewhere.run(args.stash, args.plex, args.tag, args.write)
    if args.serve:
        from scenarios import live

        return live.run(args.seed, args.port)
    from scenarios import demo

    return demo.run(args.seed)


def _fuzz(args: argparse.Namespace) -> int:
    from scenarios import fuzz

    first, _, of = args.shard.partition("/")
    if not (first.isdigit() and of.isdigit() and 1 <= int(first) <= int(of)):
        print(f"--shard is I/N with I from 1 to N, not {args.shard}", file=sys.stderr)
        return 2
    if args.acts is not None:
        kept = {int(number) for number in args.acts.split(",") if number.isdigit()}
        return fuzz.replay(args.seed, kept)
    return fuzz.run(args.runs or fuzz.RUNS, args.seed, (int(first), int(of)), jobs=args.jobs)


COMMANDS: dict[str, Any] = {"list": _list, "run": _run, "fuzz": _fuzz, "demo": _demo}

if __name__ == "__main__":
    sys.exit(main())
