"""Architectures described over HTTP: the figures are those of the library, errors name the field."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from nas_service.client import RemoteService
from nas_service.descriptions import ArchitectureView, CostView
from nas_service.errors import InvalidInput
from nas_service.server import serving
from nas_service.settings import Settings
from search_spaces import Architecture, RandomTrial, analyse, families
from search_spaces.diagram import svg, text
from search_spaces.families.pictures import EXAMPLE_CLASSES, shape_for

PATH = "/api/v1/architectures:describe"
YAML = {"Content-Type": "application/yaml"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Describing changes nothing: one server serves all."""
    with serving(Settings(home=tmp_path_factory.mktemp("describe"), port=0)) as address:
        yield address


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        yield client


def member(family: str = "multi_scale", seed: int = 1) -> Architecture:
    return families.get(family).space.sample(RandomTrial(seed), shape_for(family), EXAMPLE_CLASSES)


@pytest.mark.parametrize("family", families.names())
def test_the_figures_are_those_of_the_library(http: httpx.Client, family: str) -> None:
    architecture = member(family)
    answer = http.post(PATH, json=architecture.to_dict())
    assert answer.status_code == 200, answer.text
    view, cost = ArchitectureView.model_validate_json(answer.content), analyse(architecture)
    assert view.cost == CostView.model_validate(cost, from_attributes=True)
    assert Architecture.from_dict(view.architecture) == architecture
    assert (view.architecture_hash, view.svg, view.text) == (
        architecture.hash,
        svg(architecture),
        text(architecture),
    )
    assert len(view.stages) == len(architecture.stages)
    outside_head = [layer for layer in cost.layers if not layer.name.startswith("head.")]
    assert sum(stage.params for stage in view.stages) == sum(layer.params for layer in outside_head)


def test_yaml_and_json_are_described_alike(http: httpx.Client) -> None:
    data = member().to_dict()
    answers = [
        http.post(PATH, json=data),
        http.post(PATH, content=yaml.safe_dump(data).encode(), headers=YAML),
    ]
    assert answers[0].json() == answers[1].json()


def test_the_client_gets_the_same(address: str, http: httpx.Client) -> None:
    data = member().to_dict()
    with RemoteService(address) as client:
        assert client.describe(data).model_dump(mode="json") == http.post(PATH, json=data).json()
        with pytest.raises(InvalidInput, match="classes"):
            client.describe({**data, "classes": 1})


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"clases": 3}, "/clases", ["did you mean 'classes'"]),
        ({"classes": 1}, "/classes", ["is 1", "2 to 100000"]),
        ({"input_shape": [3]}, "/input_shape", ["input_shape"]),
        ({"stages": []}, "/stages", ["stages", "1 to 6"]),
        ({"head": {"pool": "mean"}}, "/head/pool", ["'mean'", "avg, max, flatten"]),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(
    http: httpx.Client, changes: dict[str, Any], pointer: str, words: list[str]
) -> None:
    answer = http.post(PATH, json={**member().to_dict(), **changes})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    for word in words:
        assert word in f"{error['message']} {error.get('allowed')}"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 10_000, b"a: &x 1\nb: *x"])
def test_what_is_no_mapping_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post(PATH, content=body, headers=YAML)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_deep_field_is_told_by_its_place(http: httpx.Client) -> None:
    data = json.loads(json.dumps(member().to_dict()))
    data["stages"][0]["downsample"] = "min"
    (error,) = http.post(PATH, json=data).json()["errors"]
    assert error == {
        "pointer": "/stages/0/downsample",
        "message": "stage 1: downsample is 'min'",
        "allowed": "none, max, avg, stride",
    }
