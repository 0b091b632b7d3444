"""Rows as data frames, where pandas is installed, and as HTML tables for notebooks."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from nas_service.errors import MissingPackage


def frame(rows: Iterable[Mapping[str, Any]], *, index: str) -> Any:
    """Return a `pandas.DataFrame`; raises `MissingPackage` where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise MissingPackage("data frames need pandas; run: pip install pandas") from error
    table = pandas.DataFrame(list(rows))
    return table.set_index(index) if len(table) else table


def html_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as an HTML table; figures have six digits."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(_cell(row.get(name)) for name in columns)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"<td>{escape(text)}</td>"
