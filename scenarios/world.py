"""A real world: fake Stash with the plugin installed, fake Plex, hooks and worker, each in its own process.

Everything lives below one new folder; whatever runs and names that folder is ours, and is ended when the world ends.
Acts are methods here; `simulated.py` has the same ones for a world in one process.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from scenarios import in_sync, looking
from scenarios.acts import Act
from scenarios.history import RATED_IN_PLEX, UNKNOWN, Answer, History, Hook, Pair, Sample, Write
from scenarios.person import Person
from scenarios.recorder import NotDone, Recorder
from scenarios.scenario import QUICK, Scenario
from simulators.generate import ROOT, generate
from simulators.handle import Handle, spawned

CHECKOUT = Path(__file__).resolve().parent.parent
SAMPLE_S = 0.1
BASELINE_S = 1.5  # between two measurements of what starting Python costs
LIBRARY = "Stash"
OTHER_LIBRARY = "Second copies"
_EDITED = re.compile(r"/library/(sections/\d+/all|metadata/\d+)")
USER, PASSWORD = "ada", "correct horse battery staple"
DISK_MB = 6
SECOND = 1000  # the scenes of a second Stash are numbered from here on
SECOND_ROOT = "/data/second"

# Read by every Python of this world before anything else: turns the wall clock by what a file says.
CLOCK = """
import os, time
_real, _file = time.time, {file!r}
def _turned():
    try:
        with open(_file) as file:
            return _real() + float(file.read() or 0)
    except OSError:
        return _real()
time.time = _turned
"""


class Halted(Exception):
    """The world is to end before its scenario does."""


class RealWorld:
    """Use as a context manager; `begin` starts the clock of the history."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        watcher: Any = None,
        keep: Path | None = None,
        beside: RealWorld | None = None,
    ) -> None:
        """`beside`: the world whose Plex this one shares."""
        self.scenario = scenario
        self.spec = scenario.world
        self.seed = seed
        self.recorder = Recorder(time.time, watcher)
        self.root = Path(tempfile.mkdtemp(prefix=f"plexsync-{scenario.name[:24]}-"))
        self.keep = keep
        self.config = self.root / "stash"
        self.plugin = self.config / "plugins" / "PlexSync"
        self.data = self.plugin / "data"
        self.beside = beside
        self.second: RealWorld | None = None
        self.library = self._made_up(self.spec.scenes, seed)
        if beside is not None:
            self.library = beside.library_of_second()
        self.plex: Handle
        self.stash: Handle
        self.person: Person
        self.began_at = 0.0
        self.back_at = 0.0  # when the last outage ends by itself
        self.settings: dict[str, Any] = {}
        self.secrets: list[str] = []
        self.baselines_ms: list[float] = []
        self._stack = ExitStack()
        self.halt = threading.Event()  # somebody wants the world to end now
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._later: list[Callable[[], None]] = []  # what healing takes back
        self._stopped: set[int] = set()  # pids that were sent SIGSTOP
        self._before: dict[str, Mapping[str, Any]] = {}  # what Plex said of each file at the beginning
        self._file_of: dict[int, str] = {}
        self._lost_requests: list[dict[str, Any]] = []  # journals of servers that were restarted
        self._lost_runs: list[dict[str, Any]] = []
        self._stash_args: list[str] = []
        self._stash_stack = ExitStack()
        self._mutex = threading.RLock()

    def _made_up(self, scenes: int, seed: int) -> list[dict[str, Any]]:
        rows = generate(scenes, seed)
        return [{**row, "date": row["date"] or "2020-02-02"} for row in rows] if self.spec.dated else rows

    def library_of_second(self) -> list[dict[str, Any]]:
        rows = self._made_up(self.spec.second, self.seed + SECOND)
        return [{**row, "path": row["path"].replace(ROOT, SECOND_ROOT, 1)} for row in rows]

    # ---- building and ending ----

    def __enter__(self) -> RealWorld:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _build(self) -> None:
        self._install()
        if self._wants_disk():
            self._mount_data()
        if self._wants_clock():
            self._install_clock()
        plex_file, stash_file = self.root / "plex.json", self.root / "stash.json"
        plex_file.write_text(json.dumps(self._plex_library()))
        stash_file.write_text(json.dumps({"scenes": [_scene(row) for row in self.library]}))
        login = ["--username", USER, "--password", PASSWORD] if self.spec.login else []
        self._stash_args = ["--library", str(stash_file), "--config-dir", str(self.config)]
        self._stash_args += ["--plugins", str(self.config / "plugins"), "--seed", str(self.seed), *login]
        with ThreadPoolExecutor(2) as pool:
            stash = pool.submit(self._start, self._stash_stack, "simulators.fake_stash", *self._stash_args)
            plex_args = ("--library", str(plex_file), "--seed", str(self.seed))
            if self.beside is None:
                self.plex = pool.submit(self._start, self._stack, "simulators.fake_plex", *plex_args).result()
            else:
                self.plex = self.beside.plex
            self.stash = stash.result()
        api_key = str(self.stash.ready.get("api_key") or "")
        self.person = Person(self.stash.url, api_key)
        token = str(self.plex.ready["token"])
        self.secrets = [secret for secret in (token, api_key, PASSWORD) if secret]
        self.settings = {**QUICK, "plex_url": self.plex.url, "plex_token": token, **self.spec.settings}
        if self.spec.plex_root:
            self.settings["path_map"] = f"{ROOT} => {self.spec.plex_root}"
        self.person.ask(
            "mutation($input: ConfigGeneralInput!) { configureGeneral(input: $input) { pythonPath } }",
            {"input": {"pythonPath": sys.executable}},
        )
        self.first_settings = dict(self.settings)
        self.person.configure(self.settings)
        self._before = {item["file"]: in_sync.plex_says(item) for item in self._plex_items()}
        self._remember_keys()
        if self.spec.second:
            alone = replace(self.scenario, world=replace(self.spec, scenes=self.spec.second, second=0))
            self.second = self._stack.enter_context(RealWorld(alone, self.seed, beside=self))

    def _start(self, stack: ExitStack, module: str, *args: str) -> Handle:
        return stack.enter_context(spawned(module, *args))

    def _install(self) -> None:
        self.plugin.mkdir(parents=True)
        if self.spec.bundle:
            with zipfile.ZipFile(CHECKOUT / "dist" / "PlexSync.zip") as archive:
                archive.extractall(self.plugin)
            return
        for name in ("PlexSync.yml", "PlexSync.py"):
            shutil.copy2(CHECKOUT / name, self.plugin / name)
        shutil.copytree(
            CHECKOUT / "plexsync", self.plugin / "plexsync", ignore=shutil.ignore_patterns("__pycache__")
        )

    def _plex_library(self) -> dict[str, Any]:
        """The files of the scenes as a scan without an agent finds them: a file, and no more."""
        known = self.library[: self.spec.plex_has]
        place = self.spec.plex_root or ROOT

        def item(row: Mapping[str, Any], root: str) -> dict[str, Any]:
            path = row["path"].replace(ROOT, root, 1)
            return {"title": Path(row["path"]).stem, "file": path, "duration": int(row["duration"] * 1000)}

        items = [item(row, place) for row in known] + [
            item(row, SECOND_ROOT) for row in self.library_of_second()
        ]
        places = [place, SECOND_ROOT] if self.spec.second else [place]
        sections = [{"title": LIBRARY, "locations": places, "items": items}]
        if self.spec.twice:
            doubles = [item(self.library[number - 1], place) for number in self.spec.twice]
            sections.append({"title": OTHER_LIBRARY, "locations": [place], "items": doubles})
        return {"sections": sections, "switches": dict(self.spec.switches)}

    def _acts(self) -> list[str]:
        lanes = self.scenario.lanes(random.Random(self.seed))
        return [type(at.act).__name__ for lane in lanes for at in lane]

    def _wants_disk(self) -> bool:
        return bool({"FillDisk", "ReadOnly"} & set(self._acts()))

    def _wants_clock(self) -> bool:
        return "TurnClock" in self._acts()

    def _mount_data(self) -> None:
        self.data.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "plexsync", str(self.data)], check=True
        )
        self._stack.callback(self._unmount_data)

    def _unmount_data(self) -> None:
        """A world that breaks down may have mounted it twice."""
        while os.path.ismount(self.data):
            subprocess.run(["umount", "-l", str(self.data)], check=True)

    def _install_clock(self) -> None:
        """Stash puts the plugins folder on the path of every Python it starts, and Python looks for this name there."""
        module = self.config / "plugins" / "sitecustomize.py"
        module.write_text(CLOCK.format(file=str(self.root / "clock")))

    def begin(self) -> None:
        self.began_at = time.time()
        for work in (self._keep_sampling, self._keep_measuring):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self._threads.append(thread)

    def now_s(self) -> float:
        """Seconds since `begin`."""
        return time.time() - self.began_at

    def sleep_until(self, s: float) -> None:
        """Raises Halted when the world is to end."""
        self.pause(s - self.now_s())

    def pause(self, s: float) -> None:
        """Sleep. Raises Halted when the world is to end."""
        if self.halt.wait(max(0.0, s)):
            raise Halted

    def _keep_sampling(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            sample = self.look()
            if sample is not None:
                self.recorder.sample(sample)

    def look(self) -> Sample | None:
        """Both queues together, where there are two."""
        ours = looking.sample(self.data, bool(looking.workers(self.data)))
        theirs = self.second.look() if self.second else None
        if ours is None or theirs is None:
            return ours if self.second is None else None
        counted = ("pending", "in_progress", "later", "done", "dead", "spooled")
        sums = {name: getattr(ours, name) + getattr(theirs, name) for name in counted}
        states = {name: max(getattr(ours, name), getattr(theirs, name)) for name in ("plex", "stash")}
        return replace(ours, **sums, **states, worker=ours.worker or theirs.worker)

    def _keep_measuring(self) -> None:
        """What starting a bare Python costs beside everything else that goes on: the measure for hooks."""
        while not self._ended.is_set():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", "pass"], check=True, stdin=subprocess.DEVNULL)
            self.baselines_ms.append((time.perf_counter() - began) * 1000)
            self._ended.wait(BASELINE_S)

    def stop_watching(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def stop_worker(self) -> list[str]:
        """Ask the workers to end, as a machine that shuts down does; those that would not in time."""
        for pid in self._workers():
            _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + 6
        while (left := self._workers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [f"worker {pid} went on for 6 s after SIGTERM" for pid in left]

    def _workers(self) -> list[int]:
        return looking.workers(self.data) + (self.second._workers() if self.second else [])

    def stop_servers(self) -> None:
        self._stash_stack.close()
        self._stack.close()

    def leftovers(self) -> list[str]:
        """What still runs and names our folder, after a moment to end by itself."""
        deadline = time.monotonic() + 2
        while (left := looking.processes(self.root)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [f"{pid}: {command}" for pid, command in left]

    def close(self) -> None:
        """End whatever is still there, and remove the folder. Safe to call twice."""
        self._ended.set()
        for pid in self._stopped:
            _signal(pid, signal.SIGCONT)
        with suppress(Exception):  # what cannot be healed ends here
            self.heal()
        for pid, _ in looking.processes(self.data):
            _signal(pid, signal.SIGKILL)
        if self.keep is not None and self.root.exists():
            self._keep_files()
        self.stop_servers()
        for pid, _ in looking.processes(self.root):
            _signal(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)

    def _keep_files(self) -> None:
        assert self.keep is not None
        target = self.keep / self.scenario.name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.root, target, ignore=shutil.ignore_patterns("__pycache__", "*.lock"))

    # ---- looking ----

    def _plex_items(self) -> list[dict[str, Any]]:
        return [item for section in self.plex.state()["sections"] for item in section["items"]]

    def _remember_keys(self) -> None:
        """Which item had which file, also of items that are gone by the end."""
        self._file_of |= {item["rating_key"]: item["file"] for item in self._plex_items()}

    def scenes(self) -> dict[int, dict[str, Any]]:
        return {scene["id"]: scene for scene in self.stash.state()["scenes"]}

    def plex_path(self, path: str) -> str:
        return path.replace(ROOT, self.spec.plex_root, 1) if self.spec.plex_root else path

    def pairs(self) -> tuple[Pair, ...]:
        items = {item["file"]: item for item in self._plex_items() if not item["deleted"]}
        found = []
        for scene_id, scene in self.scenes().items():
            file = self.plex_path(scene["path"] or "")
            item = items.get(file)
            found.append(
                Pair(
                    scene_id,
                    file,
                    in_sync.stash_says(scene),
                    in_sync.plex_says(item) if item else None,
                    self._before.get(file),
                )
            )
        return tuple(found)

    def wait_until(self, what: str, n: int = 1, within_s: float = 20.0) -> bool:
        """True when it came true in time."""
        deadline = time.monotonic() + within_s
        while not self._is(what, n):
            if time.monotonic() > deadline:
                if within_s:
                    self.recorder.mark("note", f"waited {within_s:g} s in vain for: {what} {n}")
                return False
            self.pause(0.05)
        return True

    def _is(self, what: str, n: int) -> bool:
        if what == "worker":
            return bool(looking.workers(self.data))
        if what == "no_worker":
            return not self._workers()
        if what == "writes":
            return sum(_is_write(row) for row in self.plex.requests()) >= n
        sample = self.look()
        if sample is None:
            return False
        if what == "idle":
            return sample.pending == sample.in_progress == 0
        if what == "resting":  # at least n wait and none is being worked on
            return sample.pending >= n and sample.in_progress == 0
        if what == "rested":  # nothing is due, though something may wait for later
            return sample.pending == sample.later and sample.in_progress == 0
        return {"waiting": sample.pending, "done": sample.done, "dead": sample.dead}[what] >= n

    # ---- acts of people ----

    def edit(self, kind: str, scene_ids: tuple[int, ...], fields: Mapping[str, Any]) -> None:
        with suppress(NotDone), self.recorder.edit(kind, scene_ids, fields, kind not in ("plays", "destroy")):
            person, ids = self.person, scene_ids
            if self.second is not None and scene_ids[0] > SECOND:
                person, ids = self.second.person, tuple(number - SECOND for number in scene_ids)
            query, variables = person.request("update" if kind == "plays" else kind, ids, fields)
            person.ask(query, variables)

    def create(self, title: str, in_plex: bool) -> None:
        path = f"{ROOT}/New/{title}.mp4"
        if in_plex:
            self._media(self.plex_path(path))
        with suppress(NotDone), self.recorder.edit("create", (self._next_scene(),), {"title": title}):
            try:
                self.stash.call("POST", "/scenes", {"path": path, "title": title})
            except OSError as error:
                raise NotDone(UNKNOWN, str(error)) from None

    def _next_scene(self) -> int:
        return max(self.scenes(), default=0) + 1

    def _media(self, file: str) -> None:
        self.plex.call("POST", "/media", {"section": LIBRARY, "file": file, "scan": "now"})
        for item in self._plex_items():
            if item["file"] == file:
                self._before[file] = in_sync.plex_says(item)

    def rename(self, kind: str, old: str, new: str) -> None:
        touched = tuple(
            scene_id
            for scene_id, scene in self.scenes().items()
            if old in (scene["studio"], *scene["performers"], *scene["tags"])
        )
        with suppress(NotDone), self.recorder.edit("rename", touched, {kind: new}):
            self.person.rename(kind, old, new)

    def rate_in_plex(self, scene: int, rating100: int) -> None:
        with self.recorder.edit(RATED_IN_PLEX, (scene,), {"rating100": rating100}):
            for key in self._keys_of(scene):
                query = f"key={key}&identifier=com.plexapp.plugins.library&rating={rating100 / 10}"
                self._tell_plex(f"/:/rate?{query}")

    def _tell_plex(self, path: str) -> None:
        headers = {"X-Plex-Token": str(self.plex.ready["token"])}
        request = urllib.request.Request(self.plex.url + path, method="PUT", headers=headers)
        urllib.request.urlopen(request, timeout=10).close()

    def press(self, mode: str) -> Any:
        self.recorder.mark("task", mode)
        if self.second is not None:
            self.second.press(mode)
        try:
            return self.person.operate(mode)
        except NotDone as why:
            self.recorder.mark("note", f"{mode}: {why}")
            return None

    def ask_status(self) -> None:
        earlier = self.look()
        said = self.press("queue_status")
        later = self.look()
        if said is not None and earlier is not None and later is not None:
            self.recorder.answer(Answer(time.time(), said, earlier, later))

    def together(self, acts: Sequence[Act]) -> None:
        with ThreadPoolExecutor(len(acts)) as pool:
            for done in [pool.submit(act.do, self) for act in acts]:
                done.result()

    def close_tab(self, scene: int, fields: Mapping[str, Any], ms: float) -> None:
        query, variables = self.person.request("update", (scene,), fields)
        with suppress(NotDone), self.recorder.edit("update", (scene,), fields):
            self.person.leave(query, variables, ms / 1000)
            raise NotDone(UNKNOWN, "the tab was closed")

    def stop_job(self, mode: str, ms: float) -> None:
        job = self.person.start_task(mode)
        self.pause(ms / 1000)
        self.recorder.mark("kill", f"Stash's job of {mode} stopped", "task")
        with suppress(NotDone):
            self.person.stop_task(job)

    # ---- acts of trouble ----

    def _server(self, service: str) -> Handle:
        return {"plex": self.plex, "stash": self.stash}[service]

    def outage(self, service: str, s: float) -> None:
        self.recorder.mark("down", f"{service.capitalize()} is away", service)
        self._server(service).outage(s)
        at = time.time() + s
        self.back_at = max(self.back_at, at)
        self.recorder.mark("up", f"{service.capitalize()} is back", service, at)

    def fault(self, service: str, kind: str, settings: Mapping[str, Any]) -> int:
        self.recorder.mark("fault", f"{service.capitalize()}: {kind} {_shown(settings)}", service)
        return self._server(service).fault(kind, **settings)

    def calm(self, service: str) -> None:
        self.recorder.mark("calm", f"{service.capitalize()} is well again", service)
        self._server(service).clear_faults()

    def worker(self, within_s: float = 5.0) -> int | None:
        """The pid of a worker, waited for."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = looking.workers(self.data)
            if found:
                return found[0]
            self.pause(0.02)
        self.recorder.mark("note", "there was no worker to be troubled")
        return None

    def kill_worker(self, name: str, wake: bool) -> None:
        pid = self.worker()
        if pid is not None and _signal(pid, getattr(signal, f"SIG{name}")):
            self.recorder.mark("kill", f"SIG{name} to the worker", "worker")
        if wake:
            deadline = time.monotonic() + 6
            while pid in looking.workers(self.data) and time.monotonic() < deadline:
                self.pause(0.02)
            self.press("queue_status")

    def kill_at(self, service: str, when: str, match: Mapping[str, Any]) -> None:
        """Waits until it has happened, since the moment is the point of it."""
        if self._strike("KILL", service, when, match) is not None:
            self.recorder.mark("kill", f"SIGKILL to the worker: {_moment(when, service)}", "worker")

    def freeze_at(self, service: str, when: str, match: Mapping[str, Any], s: float, expire: bool) -> None:
        pid = self._strike("STOP", service, when, match)
        if pid is not None:
            self._stand_still(pid, s, expire, f": {_moment(when, service)}")

    def _strike(
        self, name: str, service: str, when: str, match: Mapping[str, Any], within_s: float = 15.0
    ) -> int | None:
        """Send the worker a signal at this moment of a request; its pid when that has happened."""
        pid = self.worker()
        if pid is None:
            return None
        server = self._server(service)
        rule = server.fault("kill", pid=pid, signal=name, when=when, match=dict(match), count=1)
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if any(row["id"] == rule and row["fired"] for row in server.faults()):
                return pid
            self.pause(0.03)
        server.clear_faults(rule)
        self.recorder.mark("note", f"no request came at which to strike the worker within {within_s:g} s")
        return None

    def freeze_worker(self, s: float, expire: bool) -> None:
        pid = self.worker()
        if pid is not None and _signal(pid, signal.SIGSTOP):
            self._stand_still(pid, s, expire)

    def _stand_still(self, pid: int, s: float, expire: bool, where: str = "") -> None:
        self._stopped.add(pid)
        self.recorder.mark("freeze", f"the worker stands still{where}", "worker")
        if expire:
            self._let_leases_expire()
            self.press(
                "queue_status"
            )  # what would also happen by itself: the next hook or task looks for a worker
        self.pause(s)
        _signal(pid, signal.SIGCONT)
        self._stopped.discard(pid)
        self.recorder.mark("thaw", "the worker goes on", "worker")

    def _let_leases_expire(self) -> None:
        """As if the worker had stood still for longer than its lease and its sign of life are good for."""
        db = sqlite3.connect(looking.queue_file(self.data), timeout=5)
        try:
            with db:
                db.execute("UPDATE ack_queue_default SET lease_until = 0 WHERE status = 2")
        finally:
            db.close()
        for lock in self.data.glob("worker*.lock"):
            with open(lock, "r+b") as file:
                file.write(b"%020.3f\n" % 0.0)

    def second_worker(self) -> None:
        command = [sys.executable, str(self.plugin / "PlexSync.py"), "worker", "--data", str(self.data)]
        self.recorder.mark("note", "somebody starts a second worker")
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._stack.callback(process.wait, 10)
        self._stack.callback(process.terminate)

    def restart_stash(self) -> None:
        """The same address, scenes and settings; cookies and jobs are gone."""
        port, control = self.stash.url.rsplit(":", 1)[1], self.stash.control.rsplit(":", 1)[1]
        scenes = [_again(scene) for scene in self.stash.state()["scenes"]]
        self._lost_requests += self.stash.requests()
        runs = self.stash.call("GET", "/runs")
        self.recorder.mark("down", "Stash stops", "stash")
        self._stash_stack.close()
        (self.root / "stash.json").write_text(json.dumps({"scenes": scenes}))
        self._lost_runs = [*self._lost_runs, *runs]
        args = [*self._stash_args, "--port", port, "--control-port", control]
        self.stash = self._start(self._stash_stack, "simulators.fake_stash", *args)
        self.recorder.mark("up", "Stash runs again", "stash")

    def stash_switches(self, switches: Mapping[str, Any]) -> None:
        self.recorder.mark("fault", f"Stash: {_shown(switches)}", "stash")
        self.stash.call("POST", "/switches", dict(switches))

    def change_setting(self, name: str, value: Any) -> None:
        value = self.first_settings.get(name) if value is None else value
        self.recorder.mark("note", f"setting {name} = {'...' if 'token' in name else value!r}")
        self.settings[name] = value
        self.person.configure(self.settings)

    def rotate_token(self, tell_s: float) -> None:
        """What the plugin knows is no longer a token; later somebody enters the right one."""
        right = self.settings["plex_token"]
        self.secrets.append("token-of-yesterday-5928e979")
        self.recorder.mark("fault", "Plex: the token is no longer valid", "plex")
        self.settings["plex_token"] = self.secrets[-1]
        self.person.configure(self.settings)

        def tell() -> None:
            if self.settings["plex_token"] != right:
                self.settings["plex_token"] = right
                self.person.configure(self.settings)
                self.recorder.mark("calm", "the new token is entered", "plex")

        self._later.append(tell)
        self.pause(tell_s)
        tell()

    def lock_queue(self, s: float) -> None:
        db = sqlite3.connect(looking.queue_file(self.data), timeout=5, isolation_level=None)
        try:
            db.execute("BEGIN IMMEDIATE")
            self.recorder.mark("fault", "another program holds the queue file", "queue")
            self.pause(s)
            db.execute("ROLLBACK")
            self.recorder.mark("calm", "the queue file is free again", "queue")
        finally:
            db.close()

    def fill_disk(self, s: float) -> None:
        ballast = self.data / "ballast"
        with open(ballast, "wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        self._later.append(lambda: ballast.unlink(missing_ok=True))
        self.recorder.mark("fault", "the disk is full", "disk")
        self.pause(s)
        ballast.unlink(missing_ok=True)
        self.recorder.mark("calm", "the disk has room again", "disk")

    def read_only(self, s: float) -> None:
        subprocess.run(["mount", "--bind", str(self.data), str(self.data)], check=True)
        refuse = ["mount", "-o", "remount,bind,ro", str(self.data)]
        deadline = time.monotonic() + 10
        # Busy while a file is open for writing through the new mount: the worker may just be at its log.
        while subprocess.run(refuse, check=False, stderr=subprocess.DEVNULL).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError("the data folder could not be made read-only")
            self.pause(0.1)
        self.recorder.mark("fault", "the data folder is read-only", "disk")

        def again() -> None:
            subprocess.run(["umount", "-l", str(self.data)], check=True)
            self.recorder.mark("calm", "the data folder can be written again", "disk")

        undo = [again]
        self._later.append(lambda: undo.pop()() if undo else None)
        self.pause(s)
        undo.pop()()

    def damage_queue(self, what: str) -> None:
        file = looking.queue_file(self.data)
        self.recorder.mark("fault", f"the queue file is damaged: {what}", "queue")
        if what == "gone":
            for name in (file, file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")):
                name.unlink(missing_ok=True)
        elif what == "row":
            db = sqlite3.connect(file, timeout=5)
            with db:
                db.execute(
                    "UPDATE ack_queue_default SET data = replace(data, 'update', 'upd?te') WHERE _id ="
                    " (SELECT max(_id) FROM ack_queue_default WHERE status < 2)"
                )
            db.close()
        else:
            with open(file, "r+b") as raw:
                raw.seek(0)
                raw.write(b"\xde\xad" * 2048)

    def turn_clock(self, s: float) -> None:
        self.recorder.mark("fault", f"the clock jumps by {s:+g} s", "clock")
        (self.root / "clock").write_text(str(s))

    def upgrade(self) -> None:
        """As Stash installs a package: file by file over the old one, then the plugins are read again."""
        self.recorder.mark("note", "the plugin is replaced by its next version")
        for file in sorted(self.plugin.rglob("*.py")):
            if "data" in file.relative_to(self.plugin).parts:
                continue
            beside = file.with_suffix(".py.new")
            beside.write_bytes(file.read_bytes() + b"\n# the next version\n")
            os.replace(beside, file)
            self.pause(0.01)
        self.person.ask("mutation { reloadPlugins }")

    def poison(self, scene: int, on: bool) -> None:
        self.recorder.mark(
            "fault" if on else "calm", f"Plex: the item of scene {scene} answers 500" if on else "healed"
        )
        for key in self._keys_of(scene):
            self.plex.call("POST", "/items", {"rating_key": key, "poisoned": on})
        if on:
            self._later.append(partial(self._cure, scene))

    def _cure(self, scene: int) -> None:
        for key in self._keys_of(scene):
            self.plex.call("POST", "/items", {"rating_key": key, "poisoned": False})

    def _keys_of(self, scene: int) -> list[int]:
        file = self.plex_path(self.scenes()[scene]["path"])
        return [item["rating_key"] for item in self._plex_items() if item["file"] == file]

    def scan(self, scenes: Sequence[int]) -> None:
        known = self.scenes()
        self.recorder.mark("note", f"Plex finds the files of {len(scenes)} scenes")
        for scene in scenes:
            self._media(self.plex_path(known[scene]["path"]))

    def rebuild_library(self) -> None:
        self._remember_keys()
        files = [item["file"] for item in self._plex_items()]
        self.recorder.mark("fault", "Plex: the library is rebuilt, with new rating keys", "plex")
        for file in files:
            self.plex.call("DELETE", "/media", {"file": file})
        for section in self.plex.state()["sections"]:
            self._tell_plex(f"/library/sections/{section['key']}/emptyTrash")
        for file in files:
            self._media(file)

    # ---- calm ----

    def heal(self) -> None:
        """Take back all trouble there is."""
        for undo in [*self._later]:
            undo()
        self._later.clear()
        for pid in list(self._stopped):
            _signal(pid, signal.SIGCONT)
            self._stopped.discard(pid)
        for server in (self.plex, self.stash):
            server.clear_faults()
            server.up()
        if self.second is not None:
            self.second.heal()

    # ---- evidence ----

    def evidence(self) -> dict[str, Any]:
        """What the simulators, the queue file and the log hold, as fields of a History."""
        pairs = self.pairs()
        requests = self.plex.requests()
        stash_requests = [*self._lost_requests, *self.stash.requests()]
        runs = [*self._lost_runs, *self.stash.call("GET", "/runs")]
        usable = looking.queue_file(self.data).exists()
        found = {
            "pairs": pairs,
            "writes": self._writes(requests),
            "hooks": tuple(
                _hook(run) for run in runs if run["kind"] == "hook" and run["wall_ms"] is not None
            ),
            "moves": looking.moves(self.data),
            "letters": looking.letters(self.data) if usable else (),
            "outages": looking.outages(self.data) if usable else (),
            "final": self.look() or Sample(time.time()),
            "secrets": self._secrets_found(runs, requests),
            "troubles": looking.defects(self.data),
            "plex_requests": len(requests),
            "stash_requests": len(stash_requests),
            "baselines_ms": tuple(round(ms, 1) for ms in self.baselines_ms),
        }
        return found if self.second is None else _joined(found, self.second.evidence())

    def _writes(self, requests: Sequence[Mapping[str, Any]]) -> tuple[Write, ...]:
        scene_of = {
            self.plex_path(scene["path"] or ""): scene_id for scene_id, scene in self.scenes().items()
        }
        if self.second is not None:
            scene_of |= {str(row["path"]): SECOND + n for n, row in self.second.scenes().items()}
        self._remember_keys()
        found = []
        for row in requests:
            if not _is_write(row):
                continue
            params = dict(urllib.parse.parse_qsl(row["query"], keep_blank_values=True))
            key = params.pop("id", "") or row["path"].rsplit("/", 1)[-1]
            rating_key = int(key) if key.isdigit() else 0
            asks = json.dumps({k: v for k, v in sorted(params.items()) if not k.startswith("X-Plex")})
            found.append(
                Write(
                    row["t"],
                    scene_of.get(self._file_of.get(rating_key, "")),
                    rating_key,
                    asks,
                    params.get("title.value"),
                    row["status"],
                    tuple(row["faults"]),
                )
            )
        return tuple(found)

    def _secrets_found(
        self, runs: Sequence[Mapping[str, Any]], requests: Sequence[Mapping[str, Any]]
    ) -> tuple[str, ...]:
        """Places where a secret can be read by somebody it was not meant for."""
        cookies = {run["input"]["server_connection"]["SessionCookie"]["Value"] for run in runs[-50:]}
        secrets = [*self.secrets, *cookies]
        places: dict[str, str] = {}
        for file in sorted(self.data.rglob("*")):
            if file.is_file() and file.name != "connection.json":
                places[str(file.relative_to(self.data))] = file.read_bytes().decode(errors="replace")
        for run in runs:
            places[f"{run['kind']} {run['trigger']}"] = f"{run['stdout']} {run['log']}"
        for row in requests:
            places[f"{row['method']} {row['path']}"] = row["query"]
        for pid, command in looking.processes(self.data):
            places[f"the command line of {pid}"] = command
        found = [place for place, text in places.items() if any(secret in text for secret in secrets)]
        connection = self.data / "connection.json"
        if connection.exists() and connection.stat().st_mode & 0o077:
            found.append("connection.json is readable by others")
        return tuple(found)

    def history(self, **more: Any) -> History:
        recorder = self.recorder
        return History(
            scenario=self.scenario.name,
            seed=self.seed,
            began_at=self.began_at,
            ended_at=time.time(),
            edits=tuple(recorder.edits),
            marks=tuple(sorted(recorder.marks, key=lambda mark: mark.at)),
            samples=tuple(recorder.samples),
            answers=tuple(recorder.answers),
            **more,
        )


def _joined(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Evidence of a world and of the second Stash in it, whose scenes get their numbers."""
    joined = dict(ours)
    for name in ("pairs", "hooks", "moves", "letters"):
        rows = [
            replace(row, scene_id=SECOND + row.scene_id if row.scene_id else None) for row in theirs[name]
        ]
        joined[name] = (*ours[name], *rows)
    for name in ("outages", "secrets", "troubles"):
        joined[name] = (*ours[name], *theirs[name])
    joined["stash_requests"] += theirs["stash_requests"]
    return joined


def _moment(when: str, service: str) -> str:
    return f"{when.replace('_', ' ')} at {service}"


def _is_write(row: Mapping[str, Any]) -> bool:
    """An edit of an item; not a rating, a poster or a scan."""
    return row["method"] == "PUT" and _EDITED.fullmatch(row["path"]) is not None


def _hook(run: Mapping[str, Any]) -> Hook:
    return Hook(
        run["started_at"],
        run["scene_id"],
        run["trigger"],
        run["wall_ms"],
        run["exit"],
        run["signal"],
        (run["stdout"] or "").strip(),
    )


def _scene(row: Mapping[str, Any]) -> dict[str, Any]:
    """A made-up scene as fake Stash's library file takes it."""
    return {name: value for name, value in row.items() if value is not None}


def _again(scene: Mapping[str, Any]) -> dict[str, Any]:
    """A scene of fake Stash's state as its library file takes it."""
    kept = (
        "title",
        "details",
        "date",
        "rating100",
        "code",
        "director",
        "organized",
        "studio",
        "performers",
        "tags",
        "groups",
    )
    return {"path": scene["path"], **{name: scene[name] for name in kept if scene[name] is not None}}


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items() if value not in ({}, None))


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def building(
    scenario: Scenario, seed: int, watcher: Any = None, keep: Path | None = None
) -> Iterator[RealWorld]:
    """A world for as long as the block lasts; whatever happens in it, nothing of it is left afterwards."""
    with RealWorld(scenario, seed, watcher, keep) as world:
        yield world
