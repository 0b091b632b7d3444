"""Classes of `search_spaces.modules` as text, with all that they need; nothing is imported for it."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

IGNORES = re.compile(r"  # (type: ignore|noqa).*")


def definitions(wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Return the source of classes and functions, each once and behind what it uses at import.

    Args:
        wanted: File and name of each.
    """
    found: dict[str, str] = {}
    for file, name in wanted:
        _collect(file, name, found)
    return list(found.values())


def _collect(file: str, name: str, found: dict[str, str]) -> None:
    text, statements = _module(file)
    if name in found or name not in statements:
        return
    statement = statements[name]
    found[name] = IGNORES.sub("", ast.get_source_segment(text, statement) or "")
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            _collect(file, node.id, found)


@cache
def _module(file: str) -> tuple[str, dict[str, ast.stmt]]:
    text = (resources.files("search_spaces.modules") / f"{file}.py").read_text(encoding="utf-8")
    body = ast.parse(text).body
    return text, {
        statement.name: statement
        for statement in body
        if isinstance(statement, ast.ClassDef | ast.FunctionDef)
    }
