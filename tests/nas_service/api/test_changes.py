"""PATCH of a study, as curl would use it."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

STUDIES = "/api/v1/studies"
WIDE = {"family": "multi_scale", "override": {"depth": [1, 2, 3]}}


def test_the_space_is_changed_and_all_versions_are_listed(
    http: httpx.Client, create: Callable[..., int]
) -> None:
    study = create()
    answer = http.patch(f"{STUDIES}/{study}", json={"space": WIDE})
    assert (answer.status_code, answer.json()["space_version"]) == (200, 2)
    assert answer.json()["spec"]["space"] == WIDE
    assert [entry["version"] for entry in http.get(f"{STUDIES}/{study}/spaces").json()] == [1, 2]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"space": {"depht": 2}}, "/space/depht"),
        ({"space": {"forbid": [{"stage.fuse": "add"}]}}, "/space/forbid/0"),
        ({"space": WIDE, "budget": {"trials": 9}}, "/budget"),
        ({"spaces": WIDE}, "/space"),
        ({"space": {"forbid": [{"depth": {"min": float("nan")}}]}}, "/space/forbid/0/depth/min"),
    ],
)
def test_a_wrong_change_is_refused_by_field(
    http: httpx.Client, create: Callable[..., int], body: dict[str, Any], pointer: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = http.patch(f"{STUDIES}/{create()}", content=json.dumps(body), headers=headers)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_a_change_may_be_yaml(http: httpx.Client, create: Callable[..., int]) -> None:
    headers = {"Content-Type": "application/yaml"}
    answer = http.patch(f"{STUDIES}/{create()}", content="space: two_conv", headers=headers)
    assert (answer.status_code, answer.json()["spec"]["space"]) == (200, "two_conv")


def test_if_match_holds_the_state_that_was_read(http: httpx.Client, create: Callable[..., int]) -> None:
    study = create()
    known = http.get(f"{STUDIES}/{study}").headers["etag"]
    http.post(f"{STUDIES}/{study}:pause")
    late = http.patch(f"{STUDIES}/{study}", json={"space": WIDE}, headers={"If-Match": known})
    assert (late.status_code, late.json()["type"]) == (412, "urn:nas:stale")
    strange = http.patch(f"{STUDIES}/{study}", json={"space": WIDE}, headers={"If-Match": '"7"'})
    assert strange.status_code == 422
    newest = http.get(f"{STUDIES}/{study}").headers["etag"]
    prompt = http.patch(f"{STUDIES}/{study}", json={"space": WIDE}, headers={"If-Match": newest})
    assert prompt.status_code == 200
