"""A network of one worker of its own: a namespace, and a cable to this one that can be pulled out."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

HERE, THERE = "10.231.77.1", "10.231.77.2"


def _ip(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["ip", *arguments], capture_output=True, check=False)


@dataclass(frozen=True)
class Cable:
    """The cable between both networks."""

    namespace: str
    end: str

    def pull(self) -> None:
        """Let nothing through; who waits for an answer waits in vain."""
        assert _ip("link", "set", self.end, "down").returncode == 0

    def plug(self) -> None:
        assert _ip("link", "set", self.end, "up").returncode == 0

    @property
    def command(self) -> list[str]:
        """What a command line begins with to run over there."""
        return ["ip", "netns", "exec", self.namespace]


@contextmanager
def cable() -> Iterator[Cable]:
    """Yield a cable to a new namespace; skips where this process may make none."""
    name = f"chaos{os.getpid() % 100000}"
    end, other = f"{name}a", f"{name}b"
    if os.geteuid() != 0 or _ip("netns", "add", name).returncode:
        pytest.skip("a network namespace can be made by root alone, with iproute2")
    try:
        steps = (
            ("link", "add", end, "type", "veth", "peer", "name", other, "netns", name),
            ("addr", "add", f"{HERE}/24", "dev", end),
            ("link", "set", end, "up"),
            ("-n", name, "addr", "add", f"{THERE}/24", "dev", other),
            ("-n", name, "link", "set", other, "up"),
            ("-n", name, "link", "set", "lo", "up"),
        )
        for step in steps:
            made = _ip(*step)
            if made.returncode:
                pytest.skip(f"ip {' '.join(step)}: {made.stderr.decode().strip()}")
        yield Cable(name, end)
    finally:
        _ip("link", "del", end)
        _ip("netns", "del", name)
