"""One finding."""

from collections.abc import Callable
from typing import Literal

from nas_service.redaction import redacted
from nas_service.views import View

Verdict = Literal["ok", "warn", "fail"]


class Check(View):
    """What was found of one thing, and what to do about it."""

    name: str
    verdict: Verdict
    detail: str
    # None where nothing needs doing.
    advice: str | None = None

    @property
    def line(self) -> str:
        """All of it on one line."""
        found = f"{self.verdict:4}  {self.name:10}  {self.detail}"
        return f"{found}; {self.advice}" if self.advice else found


def ok(name: str, detail: str) -> Check:
    """Return that all is well."""
    return Check(name=name, verdict="ok", detail=redacted(detail))


def warn(name: str, detail: str, advice: str) -> Check:
    """Return what works, but not as it should."""
    return Check(name=name, verdict="warn", detail=redacted(detail), advice=advice)


def fail(name: str, detail: str, advice: str) -> Check:
    """Return what does not work."""
    return Check(name=name, verdict="fail", detail=redacted(detail), advice=advice)


def explained(name: str, find: Callable[[], list[Check]], advice: str) -> list[Check]:
    """Return what `find` finds; an error it raises is a finding too, and no end of the report."""
    try:
        return find()
    except Exception as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        return [fail(name, text, advice)]
