"""Named places where a drill ends the process at once, as `kill -9` or a power cut would.

All are off unless NAS_CRASH_AT names one: "ledger.complete.before_commit" ends the process when it first
comes there, "ledger.complete.before_commit:3" when it comes there for the third time.
"""

import os

# What the shell reports of a process that SIGKILL ended.
EXIT_CODE = 137


class _Armed:
    """The one point that ends the process, and how often it is still passed unharmed."""

    __slots__ = ("left", "name")

    def __init__(self, wanted: str) -> None:
        self.name, _, nth = wanted.partition(":")
        self.left = int(nth or 1)


_armed = _Armed(os.environ.get("NAS_CRASH_AT", ""))


def arm(wanted: str) -> None:
    """Choose the point again, as NAS_CRASH_AT would; "" disarms all."""
    global _armed
    _armed = _Armed(wanted)


def crash_point(name: str) -> None:
    """End the process here if this point was chosen; nothing else of it runs, no handler and no `finally`."""
    if name == _armed.name:
        _armed.left -= 1
        if _armed.left == 0:
            os._exit(EXIT_CODE)
