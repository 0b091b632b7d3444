"""Printing: data to stdout as table, JSON, YAML or CSV; talk to stderr."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import isfinite
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nas_service.metrics import QUALITIES
from nas_service.redaction import redacted
from nas_service.yaml_text import yaml_text

# What a person copies into the next command: written as it is typed.
IDENTIFIERS = frozenset({"id", "job", "number", "pid", "port", "seed", "study", "trial"})


class Format(StrEnum):
    """How data is printed."""

    table = "table"
    json = "json"
    yaml = "yaml"
    csv = "csv"


def say(text: str) -> None:
    """Write a line for the person to stderr, where it never mixes with data; secrets are left out."""
    print(redacted(text), file=sys.stderr, flush=True)  # noqa: T201


def say_next(commands: Mapping[str, str]) -> None:
    """Name commands to go on with, each beside what it does, in two columns."""
    width = max(map(len, commands))
    for command, purpose in commands.items():
        say(f"  {command:<{width}}  {purpose}")


def show(data: Any, *, form: Format, columns: Sequence[str] = ()) -> None:
    """Print one value or a list of values in the chosen format.

    Args:
        data: A model, a mapping, or a list of either.
        form: `table` and `csv` show only `columns` of lists.
        columns: Dotted names, for instance "trials.complete".
    """
    plain = as_plain(data)
    if form is Format.json:
        text = json.dumps(plain, indent=2, allow_nan=False)
    elif form is Format.yaml:
        text = yaml_text(plain).rstrip()
    elif form is Format.csv:
        text = _csv(_rows(plain), columns)
    else:
        print_table(_rows(plain), columns)
        return
    print(text)  # noqa: T201


def as_plain(data: Any) -> Any:
    """Turn models into JSON-compatible data."""
    if isinstance(data, BaseModel):
        return data.model_dump(mode="json")
    if isinstance(data, list | tuple):
        return [as_plain(item) for item in data]
    return data


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as an aligned table on stdout."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.rpartition(".")[2], overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell(column, pick(row, column))) for column in columns))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)


def pick(row: Mapping[str, Any], dotted: str) -> Any:
    """Follow a dotted name into nested mappings; None where it ends early."""
    value: Any = row
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def cell(column: str, value: Any) -> str:
    """Format one figure for people: accuracies in percent, latencies to three digits, thousands apart."""
    name = column.rpartition(".")[2]
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in QUALITIES and isinstance(value, int | float):
        return f"{100 * value:.2f} %"
    if name in IDENTIFIERS:
        return str(value)
    if isinstance(value, int | float):
        return _number(value, digits=3 if name.endswith("_ms") else 4)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "-"
    return str(value)


def _number(value: float, digits: int) -> str:
    """Write a number with its thousands apart, and never with an exponent where it is large."""
    if isfinite(value) and (value == int(value) or abs(value) >= 1000):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _rows(plain: Any) -> list[Mapping[str, Any]]:
    return plain if isinstance(plain, list) else [plain]


def _csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([pick(row, column) for column in columns])
    return buffer.getvalue().rstrip("\n")
