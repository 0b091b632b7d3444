"""Specs: the same in YAML and JSON, and one clear line for what is wrong."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_service.errors import InvalidInput
from nas_service.metrics import METRICS
from nas_service.spec_file import read_spec

SPEC = {
    "name": "digits",
    "dataset": "digits",
    "objectives": [{"metric": "accuracy", "goal": "max"}, {"metric": "latency_ms"}],
    "constraints": {"params": {"max": 50_000}, "latency_ms": {"max": 4.0, "at": "p90"}},
    "search": {"sampler": "tpe", "seed": 3},
    "training": {"epochs": 9, "recipe": {"learning_rate": 0.05}},
    "budget": {"trials": 20},
}


def test_yaml_and_json_say_the_same() -> None:
    assert read_spec(yaml.safe_dump(SPEC)) == read_spec(json.dumps(SPEC)) == read_spec(SPEC)


def test_a_spec_survives_the_round_trip() -> None:
    spec = read_spec(SPEC)
    assert read_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("text", "pointer", "words"),
    [
        ("dataset: digits\ntraning: {}", "/traning", ["unknown field", "did you mean 'training'"]),
        ("dataset: d\ntraining: {recipe: {momentun: 1}}", "/training/recipe/momentun", ["'momentum'"]),
        (
            "dataset: d\ntraining: {recipe: {optimizer: lion}}",
            "/training/recipe/optimizer",
            ["lion", "rmsprop"],
        ),
        (
            "dataset: d\ntraining: {recipe: {schedule: linear}}",
            "/training/recipe/schedule",
            ["linear", "step"],
        ),
        ("dataset: d\ntraining: {recipe: {loss: hinge}}", "/training/recipe/loss", ["hinge", "focal"]),
        (
            "dataset: d\ntraining: {recipe: {initialisation: dirac}}",
            "/training/recipe/initialisation",
            ["dirac", "xavier"],
        ),
        (
            "dataset: d\ntraining: {recipe: {augmentation: {cutout: -1}}}",
            "/training/recipe/augmentation/cutout",
            ["0", "-1"],
        ),
        (
            "dataset: d\ntraining: {recipe: {augmentation: {shift_fill: wrap}}}",
            "/training/recipe/augmentation/shift_fill",
            ["wrap", "circular"],
        ),
        ("dataset: d\nsearch: {sampler: best}", "/search/sampler", ["best", "nsga2"]),
        ("", "", ["empty"]),
        ("dataset: d\nbudget: {trials: twelve}", "/budget/trials", ["must be a whole number, not 'twelve'"]),
        ("dataset: d\nbudget: {minutes: soon}", "/budget/minutes", ["must be a number, not 'soon'"]),
        ("dataset: d\nbudget: {trials: 0}", "/budget/trials", ["1"]),
        ("dataset: d\nobjectives: [{metric: speed}]", "/objectives/0/metric", ["speed", "accuracy"]),
        ("dataset: d\nconstraints: {size: {max: 1}}", "/constraints", ["size", "params"]),
        ("dataset: d\nconstraints: {params: {}}", "/constraints/params", ["max or min"]),
        ("name: x", "/dataset", ["missing"]),
        ("a: &x 1\nb: *x", "", ["aliases"]),
        ("dataset: d\ndataset: e", "", ["twice"]),
        ("!!python/object/apply:os.system ['true']", "", ["tags"]),
        ("a: !!binary aGk=", "", ["tags"]),
        ("a: ! x", "", ["tags"]),
        ("{", "", ["not valid", "line"]),
        ("[1, 2]", "", ["mapping"]),
        ("dataset: d\nbudget: {minutes: .inf}", "/budget/minutes", ["finite"]),
        ("a: " + "[" * 30 + "]" * 30, "", ["nested"]),
        ("[" * 5000, "", ["nested"]),
        ("dataset: " + "x" * 300_000, "", ["bytes"]),
    ],
)
def test_what_is_wrong_is_named(text: str, pointer: str, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_spec(text)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.errors[0].pointer == pointer
    for word in words:
        assert word in message


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_text_is_a_spec_or_refused(text: str | bytes) -> None:
    try:
        read_spec(text)
    except InvalidInput as error:
        message = str(error)
    assert message


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(SPEC)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_a_spec_with_junk_in_one_field_is_read_or_refused(field: str, junk: object) -> None:
    try:
        spec = read_spec({**SPEC, field: junk})
    except InvalidInput as error:
        assert error.errors  # noqa: PT017  (either way out is right)
    else:
        assert read_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("wrong", "allowed"),
    [
        ({"budget": {"trials": 0}}, "at least 1"),
        ({"search": {"random_share": 2}}, "at most 1.0"),
        ({"objectives": [{"metric": "accuracy", "goal": "up"}]}, "'max' or 'min'"),
        ({"objectives": [{"metric": "speed"}]}, ", ".join(METRICS)),
    ],
)
def test_a_wrong_value_comes_with_what_is_allowed(wrong: dict[str, Any], allowed: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_spec({"dataset": "digits", **wrong})
    assert [error.allowed for error in refused.value.errors] == [allowed]


def test_the_error_of_a_field_is_shown_without_pydantic_s_account() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_spec({"dataset": "d", "budget": {"trials": "twelve"}})
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_an_empty_text_is_told_plainly() -> None:
    with pytest.raises(InvalidInput, match="dataset: must have at least 1 character, not ''"):
        read_spec("dataset: ''\n")
