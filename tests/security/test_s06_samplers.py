"""S6: Optuna unpickles what some samplers and storages keep: none is used; remote workers see no database."""

import ast
from pathlib import Path
from typing import get_args

from test_s05_no_pickle import ROOT, SOURCES

from nas_service.studies import SamplerName, StudySpec
from workers.auto import Task
from workers.samplers import MAKERS, make_sampler

# Their state is their trials: nothing of it is kept as a pickle.
ALLOWED = {"AutoSampler", "TPESampler", "RandomSampler", "NSGAIISampler", "NSGAIIISampler", "GPSampler"}
UNPICKLING = ("optuna.storages.", "CmaEsSampler", "Journal", "RDBStorage", "GrpcStorage", "optuna.artifacts")


def test_the_samplers_a_spec_may_name_are_those_that_keep_no_pickles() -> None:
    task = Task.from_spec(StudySpec(dataset="digits"), (1, 8, 8), 10)
    assert set(get_args(SamplerName)) == set(MAKERS)
    assert {type(make_sampler(name, 0, task)).__name__ for name in MAKERS} <= ALLOWED


def test_no_storage_or_sampler_that_unpickles_is_named() -> None:
    named = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in names_in(path)
        if name.startswith(UNPICKLING)
    }
    assert named == set()


def test_a_remote_ledger_imports_no_database() -> None:
    names = names_in(ROOT / "nas_service" / "ledger" / "http.py")
    assert not [name for name in names if name.startswith(("sqlalchemy", "nas_service.store"))]


def names_in(path: Path) -> set[str]:
    """Return what a file imports, and every attribute it names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
    return found
