"""One plugin process, hosted as Stash 0.30's raw interface does it (pkg/plugin/raw.go, pkg/logger/plugin.go).

Go gives each process a few goroutines; here they are threads, so that a busy event loop neither delays the reading
nor lengthens the measured time. The order that plugins feel: stdout is read to its end, then the process is waited
for, then the reading end of stderr is closed.
"""

import asyncio
import json
import math
import os
import random
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .logs import Log

LINE_LIMIT = 64 * 1024  # bytes of one stderr line, its newline included
PROGRESS_BUSY_S = 0.00005  # a progress value offered while the job takes the one before is dropped

_MARKS = {"t": "Trace", "d": "Debug", "i": "Info", "w": "Warning", "e": "Error", "p": "Progress"}
_NAMES = {"trace": "Trace", "debug": "Debug", "info": "Info", "warning": "Warning", "error": "Error"}
_GO_FLOAT = re.compile(
    r"[+-]?(\d+(_?\d+)*\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf(inity)?|nan)", re.IGNORECASE
)
_SIGNAL_NAMES = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGILL: "illegal instruction",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGKILL: "killed",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGUSR2: "user defined signal 2",
    signal.SIGPIPE: "broken pipe",
    signal.SIGALRM: "alarm clock",
    signal.SIGTERM: "terminated",
}


@dataclass(frozen=True)
class Output:
    """What a run came to: `error` is None when all went well ("" is an error with an empty text)."""

    error: str | None = None
    output: Any = None


@dataclass
class Run:
    """One plugin process as `GET /runs` shows it; filled while it runs."""

    kind: str  # hook, task or operation
    plugin: str
    trigger: str  # the hook's trigger or the task's name; "" for an operation
    scene_id: int | None
    input: str
    pid: int | None = None
    started_at: float = 0.0  # wall clock, seconds
    exit: int | None = None  # None while it runs and when a signal ended it
    signal: str | None = None
    wall_ms: float | None = None  # from just before the spawn to the end of the wait
    stdout: str | None = None
    log: list[dict[str, str]] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)


def read_mark(line: str, default_level: str) -> tuple[str, str]:
    """InSync and text of one stderr line; a level of "None" means the line is dropped."""
    if len(line) >= 4 and line[0] == "\x01" and line[2] == "\x02" and line[1] in _MARKS:
        return _MARKS[line[1]], line[3:].strip()
    if default_level == "progress":
        return "Progress", line
    return _NAMES.get(default_level, "None"), line


def read_progress(text: str) -> float | None:
    """Go's strconv.ParseFloat, or None for what it refuses."""
    if not _GO_FLOAT.fullmatch(text):
        return None
    return float(text.replace("_", ""))


def read_output(stdout: str) -> Output:
    """Stash's reading of everything a plugin wrote to stdout."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        value = json.loads(stdout.strip(" \t\r\n"), parse_constant=refuse)
    except ValueError:
        return Output(None, stdout)
    if value is None:
        return Output()
    if not isinstance(value, dict):
        return Output(None, stdout)
    error: Any = None
    output: Any = None
    for key, item in value.items():
        if key.lower() == "error":
            error = item
        elif key.lower() == "output":
            output = item
    if error is not None and not isinstance(error, str):
        return Output("", stdout)
    return Output(error, output)


def end_text(code: int) -> str | None:
    """Go's words for an exit status or a signal; None for success."""
    if code == 0:
        return None
    if code > 0:
        return f"exit status {code}"
    return f"signal: {_SIGNAL_NAMES.get(signal.Signals(-code), f'signal {-code}')}"


class PluginProcess:
    """Start it, await `finished`, kill it. `finished` resolves to an Output on the loop that started it."""

    def __init__(
        self,
        run: Run,
        command: Sequence[str],
        env: Mapping[str, str],
        default_level: str,
        log: Log,
        prefix: str,
        on_progress: Callable[[float], None] | None = None,
        lose_tail: random.Random | None = None,
    ) -> None:
        self.run = run
        self.finished: asyncio.Future[Output] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._command = list(command)
        self._env = dict(env)
        self._default_level = default_level
        self._log = log
        self._prefix = prefix  # before each of the plugin's own lines
        self._on_progress = on_progress
        self._lose_tail = lose_tail
        self._last_progress = -math.inf
        self._ended = threading.Event()
        self._abandoned = False
        self._pipes = threading.Lock()  # held while deciding whether the leave pipe is still there

    def start(self) -> None:
        """Raises OSError when the program cannot be started."""
        self.run.started_at = time.time()
        self._began = time.perf_counter()
        self._popen = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.run.pid = self._popen.pid
        self._wake_read, self._wake_write = os.pipe()
        self._leave_read, self._leave_write = os.pipe()
        data = self.run.input.encode("utf-8", "replace")
        if len(data) <= 4096:  # a fresh pipe takes this much without waiting for a reader
            self._feed(data)
        else:
            threading.Thread(target=self._feed, args=(data,), daemon=True).start()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        threading.Thread(target=self._attend, daemon=True).start()

    def kill(self) -> None:
        """SIGKILL to the process itself; its children live on, and whoever reads its stdout goes on reading."""
        self._popen.kill()

    def abandon(self) -> None:
        """Close our ends of its pipes, as they are when the server is gone: its next write there fails."""
        with self._pipes:
            if not self._ended.is_set():
                self._abandoned = True
                os.write(self._leave_write, b"x")

    def _feed(self, data: bytes) -> None:
        pipe = self._popen.stdin
        assert pipe is not None
        sent = 0
        try:
            with pipe:
                while sent < len(data):
                    sent += pipe.write(data[sent:]) or 0
        except BrokenPipeError:
            self._log.warning(
                f"error writing input to plugins stdin (wrote {sent} bytes out of {len(data)}): write |1: broken pipe",
            )

    def _attend(self) -> None:
        pipe = self._popen.stdout
        assert pipe is not None
        chunks = []
        with selectors.DefaultSelector() as selector, pipe:
            selector.register(pipe, selectors.EVENT_READ)
            selector.register(self._leave_read, selectors.EVENT_READ)
            while not any(key.fd == self._leave_read for key, _ in selector.select()):
                if not (chunk := pipe.read(1 << 16)):
                    break
                chunks.append(chunk)
        if self._abandoned:
            os.close(self._wake_write)
        code = self._popen.wait()
        wall_ms = (time.perf_counter() - self._began) * 1000
        with self._pipes:
            self._ended.set()
        if not self._abandoned:
            os.close(self._wake_write)  # end of file on the other end wakes the listener
        self._listener.join()
        os.close(self._leave_read)
        os.close(self._leave_write)
        text = b"".join(chunks).decode("utf-8", "replace")
        result = read_output(text)
        if (reason := end_text(code)) is not None and result.error is None:
            result = Output(reason, result.output)
        self.run.stdout = text
        self.run.exit = code if code >= 0 else None
        self.run.signal = None if code >= 0 else signal.Signals(-code).name
        self.run.wall_ms = round(wall_ms, 3)
        self._tell(self._finish, result)

    def _finish(self, result: Output) -> None:
        if not self.finished.done():
            self.finished.set_result(result)

    def _tell(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed: the server went away before its plugin
            return

    def _listen(self) -> None:
        """Reads stderr until its end, an overlong line, or the process's end (whatever is in the pipe then counts)."""
        pipe = self._popen.stderr
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
        buffer = b""
        held = b""  # read, and to be lost in part if nothing more comes
        with selectors.DefaultSelector() as selector, pipe:
            selector.register(pipe, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while True:
                woken = any(key.fd == self._wake_read for key, _ in selector.select())
                if self._abandoned:
                    break
                chunk = pipe.read(1 << 16)
                if chunk:
                    if self._lose_tail is not None:
                        chunk, held = held, chunk
                    buffer = self._lines(buffer + chunk)
                    if len(buffer) >= LINE_LIMIT:
                        buffer = b""
                        break
                elif woken or chunk == b"":
                    if held and self._lose_tail is not None:
                        buffer = self._lines(buffer + held[: self._lose_tail.randrange(len(held))])
                    break
        if buffer and self._lose_tail is None:
            self._line(buffer)
        os.close(self._wake_read)

    def _lines(self, buffer: bytes) -> bytes:
        """Handles every whole line and returns the rest; a rest as long as the limit ends the reading."""
        start = 0
        while (end := buffer.find(b"\n", start)) >= 0:
            if end - start + 1 > LINE_LIMIT:
                return buffer[start:]
            self._line(buffer[start:end])
            start = end + 1
        return buffer[start:]

    def _line(self, raw: bytes) -> None:
        line = raw.removesuffix(b"\r").decode("utf-8", "replace")
        if not line:
            return
        level, text = read_mark(line, self._default_level)
        if level == "Progress":
            self._progress(text)
        elif level != "None":
            self.run.log.append({"level": level.lower(), "message": text})
            self._log.write(level, self._prefix + text)

    def _progress(self, text: str) -> None:
        value = read_progress(text)
        if value is None:
            reason = f"strconv.ParseFloat: parsing {json.dumps(text)}: invalid syntax"
            message = f"Error parsing progress value '{text}': {reason}"
            self.run.log.append({"level": "error", "message": message})
            self._log.error(message)
            return
        self.run.progress.append(value if math.isfinite(value) else 0.0)
        if self._on_progress is None:
            return
        now = time.perf_counter()
        if self._ended.is_set() or now - self._last_progress < PROGRESS_BUSY_S:
            return  # offered without waiting, and nobody was there to take it
        self._last_progress = now
        self._tell(self._on_progress, value)
