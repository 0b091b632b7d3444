"""A predicted latency is marked wherever it is shown, in words and by shape."""

import json
from collections.abc import Callable

import httpx
import pytest

from nas_service.cli.main import run
from nas_service.constraints import side_of
from nas_service.dashboard import figures
from nas_service.dashboard.cloud import Cloud
from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import Measurement
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Constraint, Objective, StudySpec
from nas_service.trials import Outcome, Proposal, WorkerInfo


@pytest.fixture
def study(service: Service, ledger: SqlLedger, make_proposal: Callable[..., Proposal]) -> int:
    """A study with one trial of measured latency and one of predicted."""
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"latency_ms": Constraint(max=2.0)},
    )
    study = service.create_study(spec).study
    worker = ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id
    leases = ledger.reserve(study, worker, [make_proposal(1), make_proposal(2)]).leases
    for lease, is_predicted in zip(leases, (False, True), strict=True):
        latency = measurement(is_predicted)
        ledger.complete(
            lease,
            Outcome(
                report_id=f"report-{lease.trial_id}",
                state="complete",
                metrics={"accuracy": 0.9, "latency_ms": latency.median_ms, "params": 100.0},
                latency=latency.model_dump(mode="json"),
            ),
        )
    return study


def measurement(is_predicted: bool) -> Measurement:
    figures_ms = {"median_ms": 0.5, "low_ms": 0.4, "high_ms": 0.6, "min_ms": 0.5, "p90_ms": 0.77}
    return Measurement(
        device="cpu",
        runtime="onnxruntime",
        runtime_version="1.23.0",
        machine="a board",
        network_hash="0" * 64,
        p99_ms=0.88,
        is_predicted=is_predicted,
        **figures_ms,
    )


def test_trials_and_front_say_which_metrics_are_predicted(service: Service, study: int) -> None:
    assert [service.trial_by_number(study, number).predicted for number in (0, 1)] == [[], ["latency_ms"]]
    assert [item.predicted for item in service.trials(study).items] == [[], ["latency_ms"]]
    assert [member.predicted for member in service.front(study).front] == [[], ["latency_ms"]]


def test_the_command_line_says_it(
    service: Service, study: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_HOME", str(service.settings.data_home))
    monkeypatch.delenv("NAS_SERVER", raising=False)
    assert run(["trial", "show", str(study), "0"]) == 0
    assert "predicted" not in capsys.readouterr().out
    assert run(["trial", "show", str(study), "1"]) == 0
    assert "latency_ms (predicted)" in capsys.readouterr().out
    assert run(["trial", "show", str(study), "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predicted"] == ["latency_ms"]
    assert run(["study", "front", str(study)]) == 0
    assert "predicted" in capsys.readouterr().out


def test_pages_say_it_and_leave_out_what_was_not_predicted(
    service: Service, study: int, settings: Settings
) -> None:
    with serving(settings.model_copy(update={"port": 0})) as address:
        measured, predicted = (
            httpx.get(f"{address}/trials/{number}", trust_env=False).text for number in (1, 2)
        )
        front = httpx.get(f"{address}/studies/{study}", trust_env=False).text
    for page in (predicted, front):
        assert 'href="#mark-predicted"' in page
    assert "Predicted from measurements of other networks" in predicted
    assert "0.77" in measured
    assert "0.77" not in predicted
    assert 'href="#mark-predicted"' not in measured


def test_points_that_stand_where_they_were_predicted_are_hollow(service: Service, study: int) -> None:
    front = service.front(study)
    on_front = {front.front[0].number}
    cloud = Cloud.read(
        service,
        service.study(study),
        on_front=on_front,
        x="latency_ms",
        y="accuracy",
        show={"dominated"},
    )
    dominated = figures._points(
        "dominated", cloud.dominated, "latency_ms", "accuracy", color="red", symbol="circle", size=5
    )
    assert dominated["marker"]["symbol"] == ["circle-open"]
    assert "predicted: " in dominated["text"][0]
    drawn = figures._front_trace(front.front, "latency_ms", "accuracy", ())
    assert drawn["marker"]["symbol"] == ["circle", "circle-open"]
    by_size = figures._front_trace(front.front, "params", "accuracy", ())
    assert by_size["marker"]["symbol"] == "circle"


@pytest.mark.parametrize(
    ("low", "high", "side"),
    [(1.0, 2.0, "kept"), (2.1, 3.0, "broken"), (1.9, 2.1, None), (0.1, 0.4, "broken"), (0.4, 1.0, None)],
)
def test_an_interval_lies_on_one_side_of_a_limit_or_reaches_over(
    low: float, high: float, side: str | None
) -> None:
    assert side_of(Constraint(min=0.5, max=2.0), low, high) == side


def test_a_limit_on_one_end_alone_is_judged_by_that_end() -> None:
    assert side_of(Constraint(max=2.0), 0.0, 1.9) == "kept"
    assert side_of(Constraint(min=2.0), 2.5, 3.0) == "kept"
    assert side_of(Constraint(min=2.0), 1.0, 1.9) == "broken"


def test_workers_and_devices_are_listed_with_their_noise(
    ledger: SqlLedger,
    service: Service,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NAS_HOME", str(service.settings.data_home))
    monkeypatch.delenv("NAS_SERVER", raising=False)
    board = WorkerInfo(
        name="board", host="there", pid=1, device="pi4", measures_only=True, noise="31 % apart"
    )
    ledger.register(board)
    note = "measures only; too noisy to measure latency: 31 % apart"
    assert run(["worker", "list"]) == 0
    assert note in capsys.readouterr().out
    assert run(["device", "list", "--json"]) == 0
    devices = json.loads(capsys.readouterr().out)
    assert [(device["name"], device["noise"]) for device in devices] == [("pi4", "31 % apart")]
    with serving(settings.model_copy(update={"port": 0})) as address:
        assert note in httpx.get(f"{address}/workers", trust_env=False).text
        assert httpx.get(f"{address}/api/v1/devices", trust_env=False).json()["items"] == devices
        assert (
            httpx.get(f"{address}/api/v1/workers", trust_env=False).json()["items"][0]["noise"]
            == "31 % apart"
        )
        assert "pi4 (named device)" in httpx.get(f"{address}/studies/new", trust_env=False).text
