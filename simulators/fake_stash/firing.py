"""The plugin host: runs plugins as Stash does, a process each, JSON on stdin, killed unannounced (pkg/plugin).

Hooks run after the change is stored and inside the request or job that made it, one after the other; several
requests run theirs side by side. Whoever awaits `run_hooks` and is cancelled takes the running process with it.
"""

import asyncio
import os
import random
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .gojson import dumps, sorted_map
from .logs import Log
from .pluginfile import Operation, Plugin, discover
from .process import Output, PluginProcess, Run
from .sessions import Caller, Sessions, plugin_cookie

VISITS_ALLOWED = 10  # runs of one plugin by one trigger along one chain of cookies
RUNS_KEPT = 50_000
BIG_INPUT = 100_000  # bytes; of inputs this long only the last few are kept
BIG_KEPT = 20


class PluginRefused(Exception):
    """A run that could not be started; the text is Stash's."""


@dataclass(frozen=True)
class Address:
    """How plugins are told to reach the server: the configured bind address as it stands."""

    host: str
    port: int
    scheme: str = "http"


@dataclass
class HostSettings:
    plugins_path: Path
    config_dir: Path
    python_path: str = ""
    disabled: tuple[str, ...] = ()
    lose_stderr_tail: bool = (
        False  # Stash sometimes closes stderr before it has read the end; here it is a switch
    )


@dataclass
class HookContext:
    """`hookContext` of a hook's input. `input` is a struct (dict in Go's field order), a list of such, or None."""

    trigger: str
    id: int = 0
    input: Any = None
    input_fields: Sequence[str] = ()

    def as_json(self, rng: random.Random) -> dict[str, Any]:
        context: dict[str, Any] = {"id": self.id} if self.id else {}
        context |= {"type": self.trigger, "input": self.input}
        if self.input_fields:
            # A Go map's keys: no two calls need agree on the order.
            context["inputFields"] = rng.sample(list(self.input_fields), len(self.input_fields))
        return context


class PluginHost:
    def __init__(
        self,
        settings: HostSettings,
        log: Log,
        sessions: Sessions,
        address: Callable[[], Address],
        rng: random.Random,
        runs: deque[Run],
    ) -> None:
        self.settings = settings
        self.plugins: list[Plugin] = []
        self.runs = runs
        self._processes: set[PluginProcess] = set()
        self._big: deque[Run] = deque()
        self._abandoned = False
        self._log = log
        self._sessions = sessions
        self._address = address
        self._rng = rng

    def reload(self) -> None:
        """Swap the list of plugins for what the folder holds now; running processes are not touched."""
        self._log.debug(f"Reading plugin configs from {self.settings.plugins_path}")
        self.plugins = discover(self.settings.plugins_path, self._log.error)

    def find(self, plugin_id: str) -> Plugin | None:
        return next((plugin for plugin in self.plugins if plugin.id == plugin_id), None)

    def enabled(self) -> list[Plugin]:
        return [plugin for plugin in self.plugins if plugin.id not in self.settings.disabled]

    def abandon(self) -> None:
        """The server is going: processes that run lose their pipes, get no signal, and are nobody's from now on."""
        self._abandoned = True
        for process in list(self._processes):
            process.abandon()

    def _kill(self, process: PluginProcess) -> None:
        if not self._abandoned:
            process.kill()

    def python(self) -> str | None:
        """The interpreter for `python` and `python3`, or None when there is none."""
        if self.settings.python_path and os.path.isfile(self.settings.python_path):
            return self.settings.python_path
        return shutil.which("python3") or shutil.which("python")

    def _command(self, plugin: Plugin, operation: Operation | None) -> tuple[list[str], dict[str, str]]:
        """Program with arguments, and the environment. Raises PluginRefused for an empty `exec`."""
        exec_args = operation.exec_args if operation else ()
        given = [*plugin.exec, *exec_args]
        if not given:
            raise PluginRefused(f"empty exec value in operation {operation.name if operation else ''}")
        folder = plugin.folder
        command = [given[0], *(part.replace("{pluginDir}", folder) for part in given[1:])]
        env = dict(os.environ)
        if given[0] in ("python", "python3"):
            if python := self.python():
                command[0] = python
                parent = os.path.dirname(folder)
                before = env.get("PYTHONPATH")
                env["PYTHONPATH"] = f"{before}{os.pathsep}{parent}" if before else parent
            else:
                self._log.warning("could not find python executable")
        elif shutil.which(given[0]) is None:
            command[0] = os.path.join(folder, given[0])
        return command, env

    def _stdin(self, plugin: Plugin, args: Mapping[str, Any], caller: Caller) -> str:
        address = self._address()
        connection = {
            "Scheme": address.scheme,
            "Host": address.host,
            "Port": address.port,
            "SessionCookie": plugin_cookie(self._sessions.make(caller)),
            "Dir": str(self.settings.config_dir),
            "PluginDir": plugin.folder,
        }
        return dumps({"server_connection": connection, "args": args})

    def _forget_big(self, run: Run) -> None:
        """Covers make inputs of megabytes: those of runs long past go, so that a storm of them fits in memory."""
        if len(run.input) < BIG_INPUT:
            return
        self._big.append(run)
        if len(self._big) > BIG_KEPT:
            self._big.popleft().input = ""

    def start(
        self,
        plugin: Plugin,
        operation: Operation | None,
        args: Mapping[str, Any],
        caller: Caller,
        run: Run,
        on_progress: Callable[[float], None] | None = None,
    ) -> PluginProcess:
        """Spawn one process. `args` is in the order it should have. Raises PluginRefused."""
        if plugin.interface != "raw":
            raise PluginRefused(f"interface {plugin.interface} is not imitated")
        command, env = self._command(plugin, operation)
        run.input = self._stdin(plugin, args, caller)
        process = PluginProcess(
            run,
            command,
            env,
            plugin.default_log_level,
            self._log,
            f"[Plugin / {plugin.name}] ",
            on_progress,
            self._rng if self.settings.lose_stderr_tail else None,
        )
        self.runs.append(run)
        self._forget_big(run)
        try:
            process.start()
        except OSError as error:
            self.runs.remove(run)
            reason = (error.strerror or str(error)).lower()
            raise PluginRefused(f"error running plugin: fork/exec {command[0]}: {reason}") from error
        self._processes.add(process)
        process.finished.add_done_callback(lambda _: self._processes.discard(process))
        return process

    async def run_hooks(self, context: HookContext, caller: Caller) -> None:
        """All hooks of enabled plugins for one event, in load order and then file order, each awaited.

        A plugin's own failure is a log line. One that cannot be started ends the round for all after it. Cancelling
        kills the process that runs and skips the rest.
        """
        try:
            await self._run_hooks(context, caller)
        except PluginRefused as refusal:
            self._log.error(f"error executing post hooks: {refusal}")
        except asyncio.CancelledError:
            self._log.error("error executing post hooks: operation cancelled")
            raise

    async def _run_hooks(self, context: HookContext, caller: Caller) -> None:
        trigger = context.trigger
        for plugin in self.enabled():
            hooks = plugin.hooks_for(trigger)
            if not hooks:
                continue
            if plugin.interface != "raw":
                self._log.warning(
                    f"plugin {plugin.id}: interface {plugin.interface} is not imitated, hook skipped"
                )
                continue
            if caller.visited.count((plugin.id, trigger)) >= VISITS_ALLOWED:
                self._log.debug(f"plugin ID '{plugin.id}' already triggered, not re-triggering")
                continue
            inside = replace(caller, visited=(*caller.visited, (plugin.id, trigger)))
            for hook in hooks:
                args = {**hook.default_args, "hookContext": None}
                ordered: dict[str, Any] = dict(sorted(args.items()))
                ordered["hookContext"] = context.as_json(self._rng)
                run = Run("hook", plugin.id, trigger, context.id or None, "")
                process = self.start(plugin, hook, ordered, inside, run)
                try:
                    result = await process.finished
                except asyncio.CancelledError:
                    self._kill(process)
                    raise
                self._report(f"{trigger} [{plugin.name}]", result)

    def _report(self, who: str, result: Output) -> None:
        if result.error is not None:
            self._log.error(f"{who}: returned error: {result.error}")
        elif result.output is not None:
            self._log.debug(f"{who}: returned: {result.output}")

    def _task(self, plugin_id: str, task_name: str | None) -> tuple[Plugin, Operation | None]:
        if plugin_id in self.settings.disabled:
            raise PluginRefused(f"plugin {plugin_id} is disabled")
        plugin = self.find(plugin_id)
        if plugin is None:
            raise PluginRefused(f"no plugin with ID {plugin_id}")
        if task_name is None:
            return plugin, None
        task = plugin.task(task_name)
        if task is None:
            raise PluginRefused(f"no task with name {task_name} in plugin {plugin.shown_name}")
        return plugin, task

    async def run_task(
        self,
        plugin_id: str,
        task_name: str | None,
        args: Mapping[str, Any],
        caller: Caller,
        on_progress: Callable[[float], None],
    ) -> None:
        """Run a plugin task to its end. Whatever the plugin reports is only a log line.

        Raises PluginRefused when it does not start; cancelling kills the process and does not wait for it.
        """
        try:
            plugin, task = self._task(plugin_id, task_name)
        except PluginRefused as refusal:
            raise PluginRefused(f"Error creating plugin task: {refusal}") from refusal
        filled = sorted_map({**(task.default_args if task else {}), **args})
        run = Run("task", plugin_id, task_name or "", None, "")
        try:
            process = self.start(plugin, task, filled, caller, run, on_progress)
        except PluginRefused as refusal:
            raise PluginRefused(f"Error running plugin task: {refusal}") from refusal
        try:
            result = await process.finished
        except asyncio.CancelledError:
            self._kill(process)
            raise
        if result.error is not None:
            self._log.error(f"Plugin returned error: {result.error}")
        elif result.output is not None:
            self._log.debug(f"Plugin returned: {result.output}")

    async def run_operation(self, plugin_id: str, args: Mapping[str, Any], caller: Caller) -> Any:
        """The operation's output. Raises PluginRefused with the plugin's error text."""
        if plugin_id in self.settings.disabled:
            raise PluginRefused(f"plugin {plugin_id} is disabled")
        plugin = self.find(plugin_id)
        if plugin is None:
            raise PluginRefused(
                "Internal system error. Error <runtime error: invalid memory address or nil pointer dereference>"
            )
        run = Run("operation", plugin_id, "", None, "")
        process = self.start(plugin, None, sorted_map(args), caller, run)
        try:
            result = await process.finished
        except asyncio.CancelledError:
            self._kill(process)
            raise
        if result.error is not None:
            raise PluginRefused(result.error)
        return result.output

    def start_and_kill_hooks(self, context: HookContext, caller: Caller) -> None:
        """What is left of a plural delete whose client went away: the first hook of each scene starts and is killed."""
        for plugin in self.enabled():
            for hook in plugin.hooks_for(context.trigger):
                if plugin.interface != "raw":
                    continue
                inside = replace(caller, visited=(*caller.visited, (plugin.id, context.trigger)))
                args: dict[str, Any] = dict(sorted({**hook.default_args, "hookContext": None}.items()))
                args["hookContext"] = context.as_json(self._rng)
                run = Run("hook", plugin.id, context.trigger, context.id or None, "")
                try:
                    process = self.start(plugin, hook, args, inside, run)
                except PluginRefused as refusal:
                    self._log.error(f"error executing post hooks: {refusal}")
                    return
                process.kill()
                self._log.error("error executing post hooks: operation cancelled")
                return
