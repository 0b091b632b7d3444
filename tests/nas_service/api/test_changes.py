"""PATCH of a study, as curl would use it."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from nas_service.service import Service

STUDIES = "/api/v1/studies"
WIDE = {"family": "multi_scale", "override": {"depth": [1, 2, 3]}}


def test_the_space_is_changed_and_all_versions_are_listed(
    http: httpx.Client, create: Callable[..., int]
) -> None:
    study = create()
    answer = http.patch(f"{STUDIES}/{study}", json={"space": WIDE})
    assert (answer.status_code, answer.json()["space_version"]) == (200, 2)
    assert answer.json()["spec"]["space"] == WIDE
    assert [entry["version"] for entry in http.get(f"{STUDIES}/{study}/spaces").json()["items"]] == [1, 2]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"space": {"depht": 2}}, "/space/depht"),
        ({"space": {"forbid": [{"stage.fuse": "add"}]}}, "/space/forbid/0"),
        ({"space": WIDE, "budget": {"trial": 9}}, "/budget/trial"),
        ({"budget": {"trials": None}}, "/budget"),
        ({"constraints": {"parms": {"max": 9}}}, "/constraints"),
        ({"constraints": {"accuracy": {"min": 95}}}, "/constraints/accuracy/min"),
        ({"constraints": {"params": {"max": 0}, "macs": None}}, "/constraints/params/max"),
        ({"spaces": WIDE}, "/spaces"),
        ({}, ""),
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


def test_a_larger_budget_lets_a_finished_study_go_on(
    http: httpx.Client, service: Service, finished_study: int
) -> None:
    address = f"{STUDIES}/{finished_study}"
    named = http.patch(address, json={"name": "again"}).json()
    assert (named["name"], named["spec"]["name"], named["state"]) == ("again", "again", "finished")
    more = http.patch(address, json={"budget": {"trials": 40}}).json()
    assert (more["state"], more["budget_trials"], more["name"]) == ("running", 40, "again")
    less = http.patch(address, json={"budget": {"trials": 1}}).json()
    assert (less["state"], less["budget_trials"]) == ("finished", 1)
    kinds = [event.kind for event in service.events(0, finished_study)]
    assert kinds[-5:] == ["study.changed"] * 2 + ["study.state", "study.changed", "study.state"]


def test_a_clone_has_the_spec_of_the_other_but_for_what_is_named(
    http: httpx.Client, create: Callable[..., int]
) -> None:
    study = create(name="first", training={"epochs": 3, "early_stopping": "none"})
    plain = http.post(f"{STUDIES}/{study}:clone")
    assert plain.status_code == 201
    assert plain.headers["location"] == f"{STUDIES}/{plain.json()['study']}"
    assert plain.json()["name"] == "first (copy)"
    changed = http.post(f"{STUDIES}/{study}:clone", json={"training": {"epochs": 5}, "name": "second"}).json()
    assert changed["spec"]["training"]["epochs"] == 5
    assert changed["spec"]["training"]["early_stopping"] == "none"
    wrong = http.post(f"{STUDIES}/{study}:clone", json={"training": {"epoch": 5}})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/training/epoch")


def test_every_change_acts_once_under_its_key(http: httpx.Client, create: Callable[..., int]) -> None:
    study, key = create(), {"Idempotency-Key": "verbs"}
    answers = [http.post(f"{STUDIES}/{study}:pause", headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert http.post(f"{STUDIES}/{study}:cancel", headers=key).status_code == 422
    key = {"Idempotency-Key": "clone"}
    clones = [http.post(f"{STUDIES}/{study}:clone", headers=key) for _ in range(2)]
    assert len({clone.json()["study"] for clone in clones}) == 1
    assert clones[0].headers["location"] == clones[1].headers["location"]
    long = http.post(f"{STUDIES}/{study}:resume", headers={"Idempotency-Key": "x" * 201})
    assert (long.status_code, long.json()["errors"][0]["pointer"]) == (422, "/idempotency-key")


def test_an_answer_may_be_asked_for_in_part(http: httpx.Client, finished_study: int) -> None:
    address = f"{STUDIES}/{finished_study}"
    part = http.get(address, params={"fields": "study, trials.complete,spec.budget.trials"})
    whole = http.get(address).json()
    assert part.json() == {
        "study": finished_study,
        "trials": {"complete": whole["trials"]["complete"]},
        "spec": {"budget": {"trials": 12}},
    }
    assert part.headers["etag"]
    assert http.get(address, params={"fields": "*"}).json() == whole
    page = http.get(f"{address}/trials", params={"fields": "number,metrics.params", "page_size": 2}).json()
    assert [set(item) for item in page["items"]] == [{"number", "metrics"}] * 2
    assert page["next_page_token"]
    wrong = http.get(f"{address}/trials", params={"fields": "numbr"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/fields")
    assert "'number'" in wrong.json()["detail"]


def test_short_listings_have_pages_too(http: httpx.Client) -> None:
    address = "/api/v1/families"
    whole = http.get(address).json()
    first = http.get(address, params={"page_size": 15}).json()
    token = first["next_page_token"]
    rest = http.get(address, params={"page_size": 15, "page_token": token}).json()
    assert first["items"] + rest["items"] == whole["items"]
    assert rest["next_page_token"] is whole["next_page_token"] is None
    assert http.get("/api/v1/datasets", params={"page_token": token}).status_code == 422


def test_a_trial_is_not_sent_again_to_who_has_it(http: httpx.Client, finished_study: int) -> None:
    address = f"{STUDIES}/{finished_study}/trials/0"
    etag = http.get(address).headers["etag"]
    assert http.get(address, headers={"If-None-Match": etag}).status_code == 304


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
