"""What the service tells of one trial: its evaluation, its place at each rung, its network's latencies."""

import json
from collections.abc import Callable

import pytest
from evaluations import make_details, stored
from ledger_contract import join, make_spec, outcome
from measurement_contract import HASH, NETWORK, measured

from nas_service.cli.main import run
from nas_service.errors import DamagedFile, NotFound
from nas_service.evaluation import MAX_BYTES, read_details
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Training
from nas_service.trials import EpochReport, Lease, Proposal

MakeProposal = Callable[..., Proposal]


def complete(ledger: SqlLedger, lease: Lease, content: bytes | None) -> int:
    files = {} if content is None else {"evaluation": ledger.put_artifact(content)}
    ledger.complete(lease, outcome(lease.trial_id, artifacts=files))
    return lease.trial_id


def leases(service: Service, ledger: SqlLedger, make_proposal: MakeProposal, count: int) -> list[Lease]:
    spec = make_spec(budget=Budget(trials=count), training=Training(epochs=9))
    study, worker = service.create_study(spec).study, join(ledger)
    return ledger.reserve(study, worker, [make_proposal(seed) for seed in range(1, count + 1)]).leases


def test_an_evaluation_is_told_with_the_names_of_its_classes(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    (lease,) = leases(service, ledger, make_proposal, 1)
    found = service.evaluation(complete(ledger, lease, stored(make_details())))
    assert (found.examples, found.mistakes, found.accuracy) == (250, 3, 0.988)
    assert found.class_names == tuple("0123456789")
    assert found.contributions == make_details().contributions


def test_a_missing_evaluation_has_a_reason(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    (old, running) = leases(service, ledger, make_proposal, 2)
    with pytest.raises(NotFound, match="its worker kept none, as workers of earlier versions did"):
        service.evaluation(complete(ledger, old, None))
    with pytest.raises(NotFound, match="it is running; it comes when training has ended"):
        service.evaluation(running.trial_id)


def test_a_file_that_is_no_evaluation_is_damaged(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    (lease,) = leases(service, ledger, make_proposal, 1)
    trial = complete(ledger, lease, b'{"version": 1, "examples": -1}')
    with pytest.raises(DamagedFile, match=f"the evaluation of trial {trial} cannot be read"):
        service.evaluation(trial)
    with pytest.raises(ValueError, match="at most"):
        read_details(b" " * (MAX_BYTES + 1))


def test_a_trial_knows_its_place_at_each_rung_and_who_stands_before_it(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    given = leases(service, ledger, make_proposal, 6)
    size = {lease.trial_id: service.trial(lease.trial_id).metrics["params"] for lease in given}
    largest = max(given, key=lambda lease: size[lease.trial_id])
    others = [lease for lease in given if lease is not largest]
    for place, lease in enumerate([*others, largest]):
        answer = ledger.report(lease, EpochReport(epoch=1, train_loss=1.0, accuracy=0.9 - 0.1 * place))
    assert answer == "prune"
    (found,) = service.rung_places(largest.trial_id)
    assert (found.epoch, found.reached, found.place, found.kept) == (1, 6, 6, 2)
    assert [rival.trial for rival in found.ahead] == [lease.trial_id for lease in others]
    assert found.ahead[0].figures == {"accuracy": 0.9, "params": size[others[0].trial_id]}


def test_latencies_of_a_network_are_those_of_all_devices(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    (lease, other) = leases(service, ledger, make_proposal, 2)
    worker = join(ledger)
    for device, figure in (("pi4", 3.0), ("cpu", 0.5)):
        ledger.store_measurement(NETWORK, measured(device=device, median_ms=figure), worker)
    ledger.complete(lease, outcome(1, latency={"median_ms": 0.5, "network_hash": HASH}))
    found = service.latencies(lease.trial_id)
    assert [(each.measurement.device, each.measurement.median_ms) for each in found] == [
        ("cpu", 0.5),
        ("pi4", 3.0),
    ]
    assert service.latencies(other.trial_id) == []


def test_the_command_line_sums_an_evaluation_up(
    service: Service,
    ledger: SqlLedger,
    make_proposal: MakeProposal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in (
        ("HOME", service.settings.data_home),
        ("DATABASE_URL", service.settings.database_url),
    ):
        monkeypatch.setenv(f"NAS_{name}", str(value)) if value else monkeypatch.delenv(f"NAS_{name}", False)
    (lease,) = leases(service, ledger, make_proposal, 1)
    complete(ledger, lease, stored(make_details()))
    assert run(["trial", "show", "1", "0"]) == 0
    table = capsys.readouterr().out
    for words in ("3 of 250 validation examples", "8 (92.0% recognised)", "8 taken for 1 (2 times)"):
        assert words in table
    assert run(["trial", "show", "1", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluation"]["weakest"] == {"name": "8", "recall": 0.92}
