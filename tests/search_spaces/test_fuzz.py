"""Junk through the readers that people reach: it is read, or refused by one clear line; nothing else ever.

Valid architectures and spaces are mutated as data and as text: 2,000 times in all, the same every time.
"""

import json
import math
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nas_service.descriptions import describe
from nas_service.errors import InvalidInput
from nas_service.plain_data import read_data
from nas_service.server import serving
from nas_service.settings import Settings
from nas_service.spec_file import read_spec
from search_spaces import (
    Architecture,
    ArchitectureError,
    RandomTrial,
    SearchSpaceError,
    SpaceError,
    families,
    resolve_space,
)
from search_spaces.families.pictures import EXAMPLE_CLASSES, shape_for

DESCRIBE, STUDIES = "/api/v1/architectures:describe", "/api/v1/studies?validate_only=true&samples=1"
LONGEST_LINE = 4000
SEEDS = range(3)
ARCHITECTURES = [
    families.get(name).space.sample(RandomTrial(seed), shape_for(name), EXAMPLE_CLASSES).to_dict()
    for name in families.names()
    for seed in SEEDS
]
SPACES = [families.get(name).space.to_dict() for name in families.names()]
SPACES += [{"family": name, "override": {"depth": [1, 2]}} for name in families.names()]


def nested(depth: int) -> list[Any]:
    """Return a list in a list in a list."""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def junk(*, only_text: bool) -> list[Any]:
    """Return what stands where something else was meant, made anew: mutations may go on inside it."""
    values: list[Any] = [
        *(
            None,
            True,
            False,
            0,
            1,
            -1,
            2,
            3,
            7,
            1.0,
            1.5,
            0.5,
            -0.0,
            10**6,
            2**31,
            2**63,
            10**400,
            -(10**400),
        ),
        *(math.nan, math.inf, -math.inf, 1e308, 5e-324),
        *("", " ", "x", "x1", "x1.5", "x99", "conv", "none", "null", "true", "3", "1e3", "two_conv"),
        *("\x00", "a\nb", "ä☃😀", "\u202e", "\ud800", "٣", "a" * 5000, "/~", "{}", "%s", "; allowed: "),
        *(
            [],
            [[]],
            [None],
            [3, 3],
            [3, 5],
            [1, 2, 3, 4, 5],
            ["x1", "x2"],
            [True],
            list(range(100)),
            nested(30),
        ),
        *(
            {},
            {"": 1},
            {"op": "conv"},
            {"op": "conv", "channels": 8},
            {"family": "two_conv"},
            {"a": {"b": {}}},
        ),
    ]
    if only_text:
        return values
    # No text can hold these; what calls the library may.
    objects = [
        10**5000,
        nested(900),
        (),
        (3,),
        {1},
        b"\xff",
        date(2026, 1, 1),
        1j,
        {3: 4},
        {None: 1},
        object(),
    ]
    return values + objects


KEYS = [
    "",
    "x",
    "stage",
    "stages",
    "stagess",
    "head",
    "family",
    "op",
    "\ud800",
    "a\nb",
    "a" * 5000,
    "~/",
    "☃",
]
ODD_KEYS = [None, 3, 10**5000, (1, 2), b"x", True, 1.5]


def places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value below `data`."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from places(value, (*at, key))


@st.composite
def mutated(draw: st.DrawFn, bases: list[Any], *, only_text: bool = False) -> Any:
    """A valid description with one to three things done to it."""
    data = json.loads(json.dumps(picked(draw, bases)))
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(data))
        if known:
            *above, key = picked(draw, known)
            holder = data
            for part in above:
                holder = holder[part]
            mutate(draw, holder, key, only_text)
    return data


def picked(draw: st.DrawFn, values: list[Any]) -> Any:
    """One of the values; hypothesis sees only which, for some have no text to print."""
    return values[draw(st.integers(0, len(values) - 1))]


def mutate(draw: st.DrawFn, holder: Any, key: Any, only_text: bool) -> None:
    """Do one thing to one value."""
    action = draw(
        st.sampled_from(["junk", "junk", "junk", "delete", "wrap", "deep", "double", "key", "key", "kind"])
    )
    value = holder[key]
    if action == "delete":
        del holder[key]
    elif action == "wrap":
        holder[key] = [value]
    elif action == "deep":
        holder[key] = [[[value]]]
    elif action == "double":
        holder[key] = [value, value] if not isinstance(value, list) else value * draw(st.integers(0, 20))
    elif action == "key" and isinstance(holder, dict):
        name = picked(draw, KEYS if only_text else KEYS + ODD_KEYS)
        holder[name] = picked(draw, junk(only_text=only_text))
    elif action == "kind" and not (isinstance(value, int) and abs(value) > 10**400):
        holder[key] = draw(st.sampled_from([str, bool, lambda it: {"value": it}]))(value)
    else:
        holder[key] = picked(draw, junk(only_text=only_text))


@st.composite
def texts(draw: st.DrawFn, bases: list[Any]) -> str:
    """A mutated description as JSON or YAML text, of which a piece may be cut, doubled or replaced."""
    data = draw(mutated(bases, only_text=True))
    text = json.dumps(data, ensure_ascii=draw(st.booleans())) if draw(st.booleans()) else yaml.safe_dump(data)
    if draw(st.booleans()):
        return text
    start = draw(st.integers(0, len(text)))
    end = start + draw(st.integers(0, 8))
    pieces = [
        "",
        text[start:end] * 3,
        "\t",
        ": ",
        "- ",
        "&a ",
        "*a",
        "!x ",
        "{",
        "]",
        '"',
        "\x00",
        "#",
        "<<: ",
        "0x" + "f" * 9000,
    ]
    return text[:start] + picked(draw, pieces) + text[end:]


def fuzz(count: int) -> Callable[[Any], Any]:
    """Run a test on so many examples, the same every time; shrinking is left to whoever debugs."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def check_line(error: Exception) -> None:
    """An error is one line of bounded length that any terminal and any JSON can show."""
    line = str(error)
    assert 0 < len(line) <= LONGEST_LINE
    assert len(line.splitlines()) == 1
    pointers = [field.pointer for field in getattr(error, "errors", [])] or [getattr(error, "pointer", "")]
    json.dumps([line, *pointers], ensure_ascii=False).encode()


@fuzz(600)
@given(mutated(ARCHITECTURES))
def test_data_is_an_architecture_or_one_error(data: Any) -> None:
    try:
        architecture = Architecture.from_dict(data)
    except ArchitectureError as error:
        check_line(error)
    else:
        assert Architecture.from_dict(architecture.to_dict()).hash == architecture.hash


@fuzz(600)
@given(mutated(SPACES))
def test_data_is_a_space_or_one_error(data: Any) -> None:
    try:
        space = resolve_space(data)
    except SpaceError as error:
        check_line(error)
        return
    try:
        space.sample(RandomTrial(0), (3, 32, 32), EXAMPLE_CLASSES)
    except SearchSpaceError as error:
        check_line(error)


@fuzz(300)
@given(texts(ARCHITECTURES))
def test_text_is_described_or_refused(text: str) -> None:
    try:
        view = describe(read_data(text))
    except InvalidInput as error:
        check_line(error)
    else:
        assert view.cost.params >= 0


@fuzz(200)
@given(texts([{"dataset": "digits", "space": space, "budget": {"trials": 3}} for space in SPACES]))
def test_text_is_a_spec_or_refused(text: str) -> None:
    try:
        read_spec(text)
    except InvalidInput as error:
        check_line(error)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = Settings(home=tmp_path_factory.mktemp("fuzz"), database_url=None, port=0)
    with serving(settings) as address, httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        yield client


def check_answer(answer: Any) -> None:
    """Accepted, or refused with a problem of a few lines."""
    if answer.status_code == 200:
        return
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]
    assert len(answer.json()["detail"].splitlines()) == 1
    assert len(answer.text) < 10_000


@fuzz(150)
@given(body=texts(ARCHITECTURES))
def test_the_api_describes_or_refuses(http: httpx.Client, body: str) -> None:
    check_answer(post(http, DESCRIBE, body.encode("utf-8", "surrogatepass")))


@fuzz(150)
@given(body=texts([{"dataset": "digits", "space": space, "budget": {"trials": 3}} for space in SPACES]))
def test_the_api_checks_a_spec_or_refuses(http: httpx.Client, body: str) -> None:
    check_answer(post(http, STUDIES, body.encode("utf-8", "surrogatepass")))


def post(http: httpx.Client, path: str, body: bytes) -> Any:
    return http.post(path, content=body, headers={"Content-Type": "application/yaml"})
