"""Processes that start in milliseconds: a parent that has imported everything forks them.

A worker or server takes a second or two to import what it needs; a storm of thousands of faults cannot wait
for that. Each child is a real process with its own environment, log and signals.
"""

import contextlib
import ctypes
import importlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
PR_SET_PDEATHSIG = 1


class Child:
    """A forked process; `code` is None while it lives, minus the signal's number if one ended it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self._ended = threading.Event()

    def send(self, number: int) -> None:
        """Send a signal; one that is gone already feels nothing."""
        with contextlib.suppress(ProcessLookupError):
            if self.code is None:
                os.kill(self.pid, number)

    def kill(self) -> int:
        """End it as `kill -9` does and return its code."""
        self.send(signal.SIGKILL)
        return self.wait()

    def wait(self, seconds: float = 120.0) -> int:
        """Return its code; fail if it does not end in time, which a busy machine may stretch."""
        assert self._ended.wait(seconds), f"process {self.pid} did not end within {seconds} s"
        assert self.code is not None
        return self.code

    def has_ended(self, code: int) -> None:
        self.code = code
        self._ended.set()


class Nursery:
    """Forks children that have `modules` imported already.

    Args:
        modules: Names of modules to import before the first fork.
    """

    def __init__(self, *modules: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py"), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**inherited, **threads, "PYTHONPATH": path},
            text=True,
        )
        self._children: dict[int, Child] = {}
        self._lock = threading.Lock()
        self._born: list[Child] = []
        self._is_born = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            # It kills all its children when nobody is there any more.
            self._process.stdin.close()
        self._process.wait(60)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def fork(self, target: str, arguments: list[str], log: Path, **environment: str) -> Child:
        """Start `module:function` in a new process; it is given the list of arguments, if there are any."""
        order = {"target": target, "arguments": arguments, "log": str(log), "environment": environment}
        with self._lock, self._is_born:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            assert self._is_born.wait_for(lambda: self._born, 120), "the nursery does not answer"
            return self._born.pop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            if "born" in news:
                child = self._children[news["born"]] = Child(news["born"])
                with self._is_born:
                    self._born.append(child)
                    self._is_born.notify()
            else:
                self._children.pop(news["ended"]).has_ended(news["code"])


def main(modules: list[str]) -> None:
    """Fork as told by lines of JSON on standard input, and say on standard output who began and ended."""
    for name in modules:
        importlib.import_module(name)
    wakes, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    living: set[int] = set()
    pending = b""
    while True:
        ready, _, _ = select.select([0, wakes], [], [])
        if wakes in ready:
            os.read(wakes, 4096)
            _reap(living)
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                living.add(_fork(json.loads(line)))
    for pid in living:
        os.kill(pid, signal.SIGKILL)


def _reap(living: set[int]) -> None:
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        living.discard(pid)
        _say(ended=pid, code=os.waitstatus_to_exitcode(status))


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        _say(born=pid)
        return pid
    code = 1
    try:
        _be_born(order)
        module, _, function = order["target"].partition(":")
        given = [order["arguments"]] if order["arguments"] else []
        code = getattr(importlib.import_module(module), function)(*given) or 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
    # As an interpreter does at its end: one that hangs there hangs here too.
    threading._shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _be_born(order: dict[str, Any]) -> None:
    """Become a process of its own; it dies with the nursery."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environment"])
    # Forked at one point, all would otherwise draw the same numbers.
    random.seed(time.time_ns() ^ os.getpid())
    from shifted_clock import shift

    from nas_service import crash_points

    crash_points.arm(os.environ.get("NAS_CRASH_AT", ""))
    shift()


def _say(**news: int) -> None:
    # One write of few bytes arrives whole.
    os.write(1, json.dumps(news).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
