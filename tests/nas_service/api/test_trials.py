"""Trials over REST."""

from collections.abc import Callable

import httpx
import pytest

from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.trials import Outcome, Proposal, WorkerInfo


def test_trials_are_listed_filtered_and_ordered(http: httpx.Client, finished_study: int) -> None:
    path = f"/api/v1/studies/{finished_study}/trials"
    complete = http.get(path, params={"state": "complete", "order_by": "accuracy"}).json()["items"]
    accuracies = [trial["metrics"]["accuracy"] for trial in complete]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {trial["state"] for trial in complete} == {"complete"}
    first = http.get(path, params={"page_size": 3}).json()
    second = http.get(path, params={"page_size": 3, "page_token": first["next_page_token"]}).json()
    assert [trial["number"] for trial in first["items"] + second["items"]] == list(range(6))


def test_a_trial_is_read_by_id_and_by_number(http: httpx.Client, finished_study: int) -> None:
    by_number = http.get(f"/api/v1/studies/{finished_study}/trials/0").json()
    by_id = http.get(f"/api/v1/trials/{by_number['id']}").json()
    assert by_number == by_id
    assert by_id["number"] == 0
    assert by_id["architecture"]["stages"]


def test_a_learning_curve(http: httpx.Client, finished_study: int) -> None:
    trial = http.get(f"/api/v1/studies/{finished_study}/trials", params={"state": "complete"}).json()
    curve = http.get(f"/api/v1/trials/{trial['items'][0]['id']}/curve").json()
    assert [point["epoch"] for point in curve] == [1]
    assert curve[0]["accuracy"] == 0.5


def test_an_architecture_is_enqueued_once(
    http: httpx.Client, create: Callable[..., int], make_proposal: Callable[..., Proposal]
) -> None:
    path = f"/api/v1/studies/{create()}/trials"
    architecture = make_proposal(1).architecture
    answer = http.post(path, json=architecture)
    assert answer.status_code == 201
    assert answer.json()["state"] == "waiting"
    assert http.post(path, json=architecture).status_code == 409


def test_a_wrong_architecture_is_refused_by_field(
    http: httpx.Client, create: Callable[..., int], make_proposal: Callable[..., Proposal]
) -> None:
    architecture = make_proposal(1).architecture
    architecture["stages"][0]["chanels"] = 8
    answer = http.post(f"/api/v1/studies/{create()}/trials", json=architecture)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/stages/0")
    assert "channels" in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"[]", b"3", b'"text"', b"{", b"null", b""])
def test_a_body_that_is_no_architecture_is_refused(
    http: httpx.Client, create: Callable[..., int], body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = http.post(f"/api/v1/studies/{create()}/trials", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_files_of_a_trial_are_downloads_with_names_of_our_own(
    http: httpx.Client,
    create: Callable[..., int],
    service: Service,
    ledger: SqlLedger,
    make_proposal: Callable[..., Proposal],
) -> None:
    study = create()
    worker = ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id
    (lease,) = ledger.reserve(study, worker, [make_proposal(1)]).leases
    sha256 = ledger.put_artifact(b"<script>alert(1)</script>")
    ledger.complete(
        lease, Outcome(report_id="report-1", state="complete", metrics={}, artifacts={"weights": sha256})
    )
    for path in (f"/api/v1/trials/{lease.trial_id}/files/weights", f"/api/v1/artifacts/{sha256}"):
        answer = http.get(path)
        assert answer.content == b"<script>alert(1)</script>"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
    assert (
        f'"study-{study}-trial-0-weights.safetensors"'
        in http.get(f"/api/v1/trials/{lease.trial_id}/files/weights").headers["content-disposition"]
    )
    missing = http.get(f"/api/v1/trials/{lease.trial_id}/files/onnx")
    assert missing.status_code == 404
    assert "weights" in missing.json()["detail"]


def test_trials_are_filtered_by_conditions_and_paged_in_any_order(
    http: httpx.Client, finished_study: int
) -> None:
    path = f"/api/v1/studies/{finished_study}/trials"
    everything = http.get(path, params={"page_size": 500}).json()["items"]
    expected = [
        trial
        for trial in everything
        if trial["metrics"].get("accuracy", 0) >= 0.91 and trial["metrics"]["params"] < 30_000
    ]
    asked = {"filter": "accuracy >= 91 %, params < 30k", "order_by": "-params", "page_size": 2}
    found, token = [], None
    while token or not found:
        page = http.get(path, params=asked | ({"page_token": token} if token else {})).json()
        found += page["items"]
        token = page["next_page_token"]
    assert 2 < len(expected) < len(everything)
    assert [trial["id"] for trial in found] == [
        trial["id"] for trial in sorted(expected, key=lambda t: (-t["metrics"]["params"], t["number"]))
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("acuracy > 0.9", "'acuracy' is unknown"),
        ("accuracy", "is no condition"),
        ("accuracy > much", "is no number"),
        ("state = gone", "is no state"),
        ("state > complete", "is no state"),
    ],
)
def test_a_filter_that_cannot_be_read_names_what_is_allowed(
    http: httpx.Client, finished_study: int, text: str, words: str
) -> None:
    answer = http.get(f"/api/v1/studies/{finished_study}/trials", params={"filter": text})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], words in error["message"], bool(error["allowed"])) == ("/filter", True, True)
