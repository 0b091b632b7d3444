"""YAML that is written is read again; text that others wrote means what it says."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_service.errors import FieldError, InvalidInput
from nas_service.plain_data import read_data
from nas_service.yaml_text import yaml_text

SHARED = [1, 2, 3]
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)


def test_what_stands_twice_is_written_twice() -> None:
    data = {"first": SHARED, "second": SHARED, "third": {"inner": SHARED}}
    assert "&" not in yaml_text(data)
    assert read_data(yaml_text(data)) == data


def test_short_lists_stand_on_one_line_and_the_whole_never_does() -> None:
    assert yaml_text({"a": 1, "b": [3, 5]}) == "a: 1\nb: [3, 5]\n"
    assert yaml_text({"a": 1}) == "a: 1\n"
    assert yaml_text({}) == "{}\n"


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=5), PLAIN | st.lists(PLAIN, max_size=3), max_size=5))
def test_plain_data_survive_the_way_through_yaml(data: dict[str, Any]) -> None:
    assert read_data(yaml_text(data)) == data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-21", "2026-11-21"),
        ("12:30:45", "12:30:45"),
        ("190:20:30.15", "190:20:30.15"),
        ("1_000", 1000),
        ("0x1F", 31),
        ("-1.5e+3", -1500.0),
        (".5", 0.5),
        ("yes", True),
        ("~", None),
        ("'1'", "1"),
    ],
)
def test_scalars_are_text_numbers_truth_values_or_null(text: str, value: Any) -> None:
    assert read_data(f"a: {text}") == {"a": value}


def test_an_error_escapes_what_people_wrote_into_it() -> None:
    line = str(InvalidInput(FieldError("/a\nb\x1b[2J/c~1d", "\ud800 is\r\nwrong")))
    assert line == "a\\nb\\x1b[2J.c/d: \\ud800 is\\r\\nwrong"
