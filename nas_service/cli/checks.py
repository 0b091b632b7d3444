"""Findings on stdout, and the exit code that they amount to."""

from collections.abc import Sequence

from nas_service.cli.output import Format, show
from nas_service.diagnosis.check import Check

COLUMNS = ("verdict", "name", "detail", "advice")


def show_checks(checks: Sequence[Check], form: Format) -> int:
    """Print the findings, a line each; return 1 if one of them is a failure, else 0."""
    if form is Format.table:
        for check in checks:
            print(check.line)  # noqa: T201
    else:
        show(list(checks), form=form, columns=COLUMNS)
    return int(any(check.verdict == "fail" for check in checks))
