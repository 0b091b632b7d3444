"""S10: YAML and JSON are data of bounded size and depth; what they describe is computed, never walked."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_service.errors import InvalidInput
from nas_service.plain_data import MAX_BYTES, MAX_DEPTH, read_data
from nas_service.spec_file import read_spec
from nas_service.yaml_text import yaml_text
from search_spaces import SearchSpaceError, resolve_space

SPEC = "dataset: digits\nbudget: {trials: 3}\n"
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD = {
    "aliases": LAUGHS,
    "a merge key": "base: &b {x: 1}\na: {<<: *b}",
    "an anchor to itself": "a: &a [*a]",
    "python/object": "a: !!python/object/apply:os.system [id]",
    "python/name": "a: !!python/name:os.system",
    "python/module": "a: !!python/module:os",
    "a tag of its own": "a: !run id",
    "binary": "a: !!binary aGk=",
    "a set": "a: !!set {x, y}",
    "NaN": "a: .nan",
    "infinity": "a: -.inf",
    "NaN in JSON": '{"a": NaN}',
    "infinity in JSON": '{"a": 1e999}',
    "a key twice": "a: 1\na: 2",
    "a key twice in JSON": '{"a": 1, "a": 2}',
    "the last of 30,000 keys twice": "{" + ",".join(f'"{n}":1' for n in range(30_000)) + ',"29999":2}',
    "a key that is no text": "1: x",
    "too deep": "a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "too deep in JSON": '{"a":' * 100_000,
    "too long": "a: " + "x" * MAX_BYTES,
    "a huge number": "a: " + "9" * 5000,
    "two documents": "a: 1\n---\nb: 2",
    "no mapping": "[1, 2]",
    "nothing": "",
    "no text": "\x00",
}
# What stands in a spec where code would run, were any run.
CODE = (
    "lambda x: x",
    "os.system('touch marker')",
    "__import__('os')",
    "workers.evaluation.evaluate",
    "${HOME}",
    "{{1+1}}",
)


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_plain_data_is_refused(what: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_data(BAD[what])
    assert len(str(caught.value).splitlines()) == 1


def test_all_of_it_is_422_over_http(http: httpx.Client) -> None:
    for what, text in BAD.items():
        for address in ("/api/v1/architectures:describe", "/api/v1/studies?validate_only=true"):
            answer = http.post(address, content=text.encode(), headers={"Content-Type": "application/yaml"})
            assert answer.status_code == 422, what
            assert len(answer.text) < 10_000


@pytest.mark.parametrize(
    "field", ["name", "dataset", "space", "device", "search.sampler", "objectives.0.metric"]
)
@pytest.mark.parametrize("code", CODE)
def test_code_in_a_spec_is_text_or_refused(field: str, code: str) -> None:
    spec: dict[str, Any] = {
        "dataset": "digits",
        "search": {},
        "objectives": [{"metric": "accuracy"}, {"metric": "params"}],
    }
    holder: Any = spec
    *above, last = field.split(".")
    for part in above:
        holder = holder[int(part) if part.isdigit() else part]
    holder[last] = code
    try:
        read = read_spec(spec)
    except InvalidInput:
        return
    assert field in ("name", "dataset", "space", "device"), "what is chosen from a list was not refused"
    assert getattr(read, field) == code


@pytest.mark.parametrize("code", CODE)
def test_code_is_no_search_space(code: str) -> None:
    for space in (
        code,
        {"family": code},
        {"family": "multi_scale", "override": {"depth": code}},
        {"stages": code},
    ):
        with pytest.raises(SearchSpaceError):
            resolve_space(space)


def test_a_space_of_a_thousand_million_networks_is_counted_not_walked(http: httpx.Client) -> None:
    size = resolve_space("multi_scale").size()
    assert size > 10**9
    answer = http.post(
        "/api/v1/studies?validate_only=true&samples=10", json={"dataset": "digits", "budget": {"trials": 3}}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "field", ["budget.minutes", "training.recipe.learning_rate", "constraints.params.max"]
)
def test_the_largest_number_is_no_trap(field: str, http: httpx.Client) -> None:
    spec: dict[str, Any] = {
        "dataset": "digits",
        "budget": {"trials": 3},
        "training": {"recipe": {}},
        "constraints": {"params": {}},
    }
    *above, last = field.split(".")
    holder = spec
    for part in above:
        holder = holder[part]
    holder[last] = 1e308
    answer = http.post("/api/v1/studies?validate_only=true&samples=10", json=spec)
    assert answer.status_code in (200, 422)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_yaml_and_json_say_the_same(value: Any) -> None:
    data = {"value": value}
    assert read_data(yaml_text(data)) == read_data(json.dumps(data)) == data
