"""Answers that cost something to make and are asked for by many at once: made once, and a few are kept."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(slots=True)
class _Entry(Generic[Value]):
    lock: Lock = field(default_factory=Lock)
    # One value once it is made.
    made: list[Value] = field(default_factory=list)


class Kept(Generic[Value]):
    """The values of the keys that were asked for last.

    Whoever asks for a key while its value is being made waits for it instead of making another one.

    Args:
        most: So many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._entries: OrderedDict[str, _Entry[Value]] = OrderedDict()

    def of(self, key: str, make: Callable[[], Value]) -> Value:
        """Return the value of a key.

        Args:
            key: Changes whenever the value does.
            make: Called where the value is not known; whatever it raises is raised, and nothing is kept.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with entry.lock:
            if not entry.made:
                entry.made.append(make())
            return entry.made[0]
