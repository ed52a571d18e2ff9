"""A run as a page for people and as JUnit XML for CI.

The page is one file that needs nothing else: the histories as JSON, Plotly, and `report.html` around them, which draws
a scenario when it is opened. Colours follow the reader's dark or light setting.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from plotly.offline import get_plotlyjs

from scenarios.history import History, duplicates, quantile
from scenarios.runner import Result

PAGE = Path(__file__).with_name("report.html")
SAMPLES = 400  # points drawn of a line


def html(results: Sequence[Result]) -> str:
    """The whole page."""
    data = json.dumps([drawn(result) for result in results], ensure_ascii=False).replace("</", "<\\/")
    page = PAGE.read_text(encoding="utf-8")
    return page.replace("/*plotly*/", get_plotlyjs()).replace("/*results*/[]", data)


def drawn(result: Result) -> dict[str, Any]:
    """What the page is told of one scenario; times are seconds since its beginning."""
    history = result.history
    again = {write for _, write in duplicates(history)}
    return {
        **result.as_json(),
        "about": result.scenario.about.strip(),
        "replay": f"python -m scenarios run {result.scenario.name} --seed {history.seed}",
        "healed": _s(history, history.healed_at),
        "drained": _s(history, history.drained_at),
        "ended": _s(history, history.ended_at),
        "budget_ms": round(_budget_ms(result), 1),
        "samples": _samples(history),
        "spans": _spans(history),
        "marks": [
            {"t": _s(history, mark.at), "kind": mark.kind, "text": mark.text}
            for mark in history.marks
            if mark.kind not in ("up", "heal", "drained")
        ],
        "edits": [
            {
                "t": _s(history, edit.asked_at),
                "ms": round(((edit.answered_at or edit.asked_at) - edit.asked_at) * 1000),
                "text": f"{edit.kind} of {_scenes(edit.scene_ids)}: {', '.join(edit.fields) or 'nothing else'}",
                "outcome": edit.outcome,
            }
            for edit in history.edits
        ],
        "hooks": [
            {
                "t": _s(history, hook.at),
                "ms": round(hook.wall_ms),
                "scene": hook.scene_id,
                "signal": hook.signal,
            }
            for hook in history.hooks
        ],
        "writes": [
            {
                "t": _s(history, write.at),
                "scene": write.scene_id,
                "status": write.status,
                "faults": ", ".join(write.faults),
                "again": write in again,
            }
            for write in history.writes
        ],
        "moves": [
            {
                "t": _s(history, move.at),
                "action": move.action,
                "scene": move.scene_id,
                "text": move.text[:160],
            }
            for move in history.moves
        ],
    }


def _s(history: History, at: float | None) -> float | None:
    return None if not at else round(at - history.began_at, 3)


def _scenes(ids: Sequence[int]) -> str:
    return f"scene {ids[0]}" if len(ids) == 1 else f"{len(ids)} scenes"


def _budget_ms(result: Result) -> float:
    from scenarios.checks import QUICK_PYTHON_MS

    scale = max(1.0, quantile(result.history.baselines_ms, 0.95) / QUICK_PYTHON_MS)
    return result.scenario.expect.hook_ms * scale


def _samples(history: History) -> dict[str, list[Any]]:
    step = max(1, len(history.samples) // SAMPLES)
    chosen = history.samples[::step]
    names = ("pending", "in_progress", "later", "done", "dead", "plex", "stash", "worker")
    return {"t": [_s(history, s.at) for s in chosen], **{n: [getattr(s, n) for s in chosen] for n in names}}


def _spans(history: History) -> list[dict[str, Any]]:
    """From when to when something was wrong."""
    ends = {"down": ("up",), "fault": ("calm",), "freeze": ("thaw",)}
    found = []
    for mark in history.marks:
        if mark.kind in ends:
            after = [
                m.at
                for m in history.marks
                if m.kind in ends[mark.kind] and m.subject == mark.subject and m.at >= mark.at
            ]
            end = min([*after, history.healed_at or history.ended_at])
            found.append(
                {"from": _s(history, mark.at), "to": _s(history, end), "kind": mark.kind, "text": mark.text}
            )
    return found


def junit(results: Sequence[Result]) -> str:
    """JUnit XML: a scenario is a test case, and what does not hold is its failure."""
    suite = ElementTree.Element(
        "testsuite",
        name="scenarios",
        tests=str(len(results)),
        failures=str(sum(not result.passed for result in results)),
        skipped=str(sum(bool(result.skipped) for result in results)),
        time=f"{sum(r.history.ended_at - r.history.began_at for r in results):.2f}",
    )
    for result in results:
        history = result.history
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname="scenarios",
            name=result.scenario.name,
            time=f"{history.ended_at - history.began_at:.2f}",
        )
        if result.skipped:
            ElementTree.SubElement(case, "skipped", message=result.skipped)
        wrong = [verdict for verdict in result.verdicts if not verdict.holds]
        if wrong:
            failure = ElementTree.SubElement(
                case, "failure", message="; ".join(f"{v.check}: {v.sentence}" for v in wrong)
            )
            lines = [f"{v.check}: {row}" for v in wrong for row in v.evidence]
            failure.text = _xml_safe("\n".join([*lines, f"seed {history.seed}"]))
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _xml_safe(text: str) -> str:
    return "".join(c if c in "\n\t" or c >= " " else "?" for c in text)
