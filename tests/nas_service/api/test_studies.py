"""Studies over REST, as curl would use them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from nas_service.service import Service

STUDIES = "/api/v1/studies"


def test_a_study_is_launched_from_json(http: httpx.Client, spec: dict[str, Any]) -> None:
    answer = http.post(STUDIES, json=spec)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{STUDIES}/{answer.json()['study']}"
    assert http.get(answer.headers["location"]).json()["spec"]["budget"]["trials"] == 5


@pytest.mark.parametrize("kind", ["application/yaml", "application/x-yaml", "text/yaml; charset=utf-8"])
def test_a_study_is_launched_from_yaml(http: httpx.Client, kind: str) -> None:
    text = "dataset: digits\nconstraints: {params: {max: 50000}}\nbudget: {trials: 2}\n"
    answer = http.post(STUDIES, content=text, headers={"Content-Type": kind})
    assert answer.status_code == 201
    assert answer.json()["spec"]["constraints"]["params"]["max"] == 50000


def test_json_may_hold_tabs_and_escaped_emoji(http: httpx.Client) -> None:
    text = '{\n\t"dataset": "digits",\n\t"name": "\\ud83d\\ude80 go"\n}'
    answer = http.post(STUDIES, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    assert answer.json()["name"] == "🚀 go"


def test_validate_only_reports_and_launches_nothing(http: httpx.Client, spec: dict[str, Any]) -> None:
    limited = {**spec, "constraints": {"params": {"max": 5000}}}
    answer = http.post(STUDIES, params={"validate_only": "true", "samples": 50}, json=limited)
    assert answer.status_code == 200
    assert answer.json()["sampled"] == 50
    assert 0 < answer.json()["broken_share"]["params"] < 1
    assert http.get(STUDIES).json()["items"] == []


@pytest.mark.parametrize("validate_only", [True, False])
def test_a_bound_that_no_figure_reaches_is_refused_by_field(
    http: httpx.Client, spec: dict[str, Any], validate_only: bool
) -> None:
    limits = {"params": {"max": -5, "soft": True}, "f1_macro": {"min": 95}, "macs": {"min": 0}}
    answer = http.post(STUDIES, params={"validate_only": validate_only}, json={**spec, "constraints": limits})
    errors = {error["pointer"]: error["allowed"] for error in answer.json()["errors"]}
    assert answer.status_code == 422
    assert errors == {
        "/constraints/params/max": "above 0",
        "/constraints/f1_macro/min": "0 to 1: 0.95 is 95 %",
    }


def test_the_same_key_and_body_launch_one_study(http: httpx.Client, spec: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "first"}
    answers = [http.post(STUDIES, json=spec, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.text for answer in answers}) == 1
    assert len(http.get(STUDIES).json()["items"]) == 1


def test_a_key_with_another_body_is_refused(http: httpx.Client, spec: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "first"}
    http.post(STUDIES, json=spec, headers=headers)
    answer = http.post(STUDIES, json={**spec, "name": "other"}, headers=headers)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["detail"]


def test_one_key_sent_many_times_at_once_launches_one_study(http: httpx.Client, spec: dict[str, Any]) -> None:
    def launch(_: int) -> int:
        return http.post(STUDIES, json=spec, headers={"Idempotency-Key": "first"}).status_code

    with ThreadPoolExecutor(8) as pool:
        # A second request may come while the first is still being answered.
        assert set(pool.map(launch, range(16))) <= {201, 409}
    assert len(http.get(STUDIES).json()["items"]) == 1


def test_a_refused_spec_may_be_corrected_under_its_key(http: httpx.Client, spec: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "first"}
    assert http.post(STUDIES, json={**spec, "dataset": "nowhere"}, headers=headers).status_code == 422
    assert http.post(STUDIES, json=spec, headers=headers).status_code == 201


@pytest.mark.parametrize(
    ("verb", "state"),
    [("pause", "paused"), ("drain", "finished"), ("cancel", "cancelled"), ("stop", "cancelled")],
)
def test_verbs_change_the_state(
    http: httpx.Client, create: Callable[..., int], verb: str, state: str
) -> None:
    answer = http.post(f"{STUDIES}/{create()}:{verb}")
    assert answer.status_code == 200
    assert answer.json()["state"] == state


def test_a_verb_in_the_wrong_state_is_a_conflict(http: httpx.Client, create: Callable[..., int]) -> None:
    study = create()
    assert http.post(f"{STUDIES}/{study}:pause").status_code == 200
    assert http.post(f"{STUDIES}/{study}:resume").json()["state"] == "running"
    assert http.delete(f"{STUDIES}/{study}").status_code == 409
    http.post(f"{STUDIES}/{study}:cancel")
    answer = http.post(f"{STUDIES}/{study}:resume")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:nas:conflict"
    assert "cancelled" in answer.json()["detail"]
    assert http.delete(f"{STUDIES}/{study}").status_code == 204
    assert http.get(f"{STUDIES}/{study}").status_code == 404


def test_a_deleted_study_s_number_is_never_given_again(
    http: httpx.Client, create: Callable[..., int]
) -> None:
    study = create()
    http.post(f"{STUDIES}/{study}:cancel")
    http.delete(f"{STUDIES}/{study}")
    assert create() > study


def test_listings_come_in_pages(http: httpx.Client, create: Callable[..., int]) -> None:
    created = [create(name=f"study {index}") for index in range(5)]
    seen: list[int] = []
    query: dict[str, Any] = {"page_size": 2}
    while True:
        page = http.get(STUDIES, params=query).json()
        seen += [study["study"] for study in page["items"]]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert seen == created[::-1]
    http.post(f"{STUDIES}/{created[0]}:cancel")
    assert len(http.get(STUDIES, params={"state": "cancelled"}).json()["items"]) == 1


def test_a_study_is_found_by_name(http: httpx.Client, create: Callable[..., int]) -> None:
    name = "löwe 50 % / #1?"
    study = create(name=name)
    assert http.get(f"{STUDIES}:find", params={"name": name}).json()["study"] == study
    assert http.get(f"{STUDIES}:find", params={"name": str(study)}).json()["name"] == name


@pytest.mark.parametrize("part", ["", "/front", "/result", "/trials"])
def test_what_a_reader_knows_is_not_sent_again(http: httpx.Client, finished_study: int, part: str) -> None:
    path = f"{STUDIES}/{finished_study}{part}"
    first = http.get(path)
    again = http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_a_change_of_state_is_sent(http: httpx.Client, create: Callable[..., int]) -> None:
    path = f"{STUDIES}/{create()}"
    known = http.get(path).headers["etag"]
    http.post(f"{path}:pause")
    answer = http.get(path, headers={"If-None-Match": known})
    assert answer.status_code == 200
    assert answer.json()["state"] == "paused"


def test_front_and_result_hold_feasible_complete_trials_only(
    http: httpx.Client, finished_study: int, service: Service
) -> None:
    result = http.get(f"{STUDIES}/{finished_study}/result").json()
    front = http.get(f"{STUDIES}/{finished_study}/front").json()
    assert result["trials"]["infeasible"]
    assert result["front"] == front["front"]
    assert result["front"] == [
        member.model_dump(mode="json") for member in service.front(finished_study).front
    ]
    for member in front["front"]:
        trial = http.get(f"/api/v1/trials/{member['trial']}").json()
        assert trial["state"] == "complete"
        assert all(violation <= 0 for violation in trial["violations"].values())


def test_a_front_over_other_metrics(http: httpx.Client, finished_study: int) -> None:
    path = f"{STUDIES}/{finished_study}/front"
    front = http.get(path, params={"metrics": "accuracy, params"}).json()
    assert [objective["metric"] for objective in front["objectives"]] == ["accuracy", "params"]
    answer = http.get(path, params={"metrics": "accuracy,speed"})
    assert answer.status_code == 422
    assert "latency_ms" in answer.json()["errors"][0]["allowed"]
