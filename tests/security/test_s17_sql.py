"""S17: what is sorted and filtered by is chosen from a list; values reach the database as parameters only."""

import ast

import httpx
import pytest
from test_s05_no_pickle import ROOT, SOURCES, called

INJECTIONS = (
    "params->>'x'; drop table trials",
    "number; DROP TABLE studies --",
    "number desc",
    "1",
    "id",
    "study_id",
    "token",
    "sha256",
    "metrics->accuracy",
    "trials.number",
    "number,(select sha256 from tokens)",
    "' OR '1'='1",
    '" OR ""="',
    "accuracy' UNION SELECT sha256 FROM tokens --",
    "__class__",
    "NUMBER",
    " number",
)
SQL_TAKERS = (
    "text",
    "literal_column",
    "exec_driver_sql",
    "execute",
    "from_statement",
    "DDL",
    "executescript",
)


@pytest.fixture(scope="module")
def study(http: httpx.Client) -> int:
    answer = http.post("/api/v1/studies", json={"dataset": "digits", "budget": {"trials": 3}})
    return int(answer.json()["study"])


@pytest.mark.parametrize("injection", INJECTIONS)
def test_orders_and_filters_are_those_of_a_list(injection: str, study: int, http: httpx.Client) -> None:
    for path, name in (
        (f"/api/v1/studies/{study}/trials", "order_by"),
        (f"/api/v1/studies/{study}/trials", "state"),
        ("/api/v1/studies", "state"),
        (f"/api/v1/studies/{study}/front", "metrics"),
        (f"/api/v1/studies/{study}/trials", "page_token"),
        ("/api/v1/studies", "page_token"),
        ("/api/v1/events", "after"),
        ("/api/v1/events", "study"),
    ):
        if injection == "1" and name in ("after", "study"):
            continue
        answer = http.get(path, params={name: injection})
        assert answer.status_code == 422, (path, name)
        assert "sqlalchemy" not in answer.text.lower()
    assert http.get(f"/api/v1/studies/{study}").status_code == 200


@pytest.mark.parametrize("injection", INJECTIONS)
def test_names_are_compared_never_interpreted(injection: str, study: int, http: httpx.Client) -> None:
    answer = http.get("/api/v1/studies:find", params={"name": injection})
    assert answer.status_code == (200 if injection == "1" else 404)
    for page in (
        f"/studies/{study}?order_by={injection}",
        f"/studies/{study}?state={injection}&x={injection}",
    ):
        assert http.get(page).status_code in (200, 404, 422)


def is_built(argument: ast.expr) -> bool:
    """Whether a text is put together at run time."""
    if isinstance(argument, ast.JoinedStr):
        return True
    if isinstance(argument, ast.BinOp) and isinstance(argument.op, ast.Mod | ast.Add):
        return any(is_text(part) for part in (argument.left, argument.right))
    return isinstance(argument, ast.Call) and ast.unparse(argument.func).endswith(
        (".format", ".join", ".replace")
    )


def is_text(part: ast.expr) -> bool:
    return isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str))


def built_sql(source: str) -> list[str]:
    return [
        ast.unparse(call)[:100]
        for function, call in called(ast.parse(source))
        if function.split(".")[-1] in SQL_TAKERS and any(is_built(argument) for argument in call.args)
    ]


@pytest.mark.parametrize(
    "source",
    [
        "text(f'select {name}')",
        "sa.text('select %s' % name)",
        "connection.execute(text('select ' + name))",
        "text('select {}'.format(name))",
        "connection.exec_driver_sql(f'pragma {name}')",
    ],
)
def test_the_search_below_finds(source: str) -> None:
    assert built_sql(source)


def test_no_sql_is_put_together_from_text() -> None:
    paths = [*SOURCES, *(ROOT / "alembic").rglob("*.py")]
    found = {str(path.relative_to(ROOT)): built_sql(path.read_text(encoding="utf-8")) for path in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}
