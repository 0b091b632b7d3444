"""How an evaluation ends before its result."""

from typing import Literal


class Interrupted(Exception):
    """The evaluation is to end: "stopped", and its trial is given back, or "lost", and it is abandoned."""

    def __init__(self, ending: Literal["stopped", "lost"]) -> None:
        super().__init__(ending)
        self.ending = ending
