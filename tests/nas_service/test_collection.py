"""Collecting artifacts: what nothing refers to goes after the grace period, and nothing else ever does."""

import hashlib
import json
import os
from collections.abc import Callable

import pytest
from ledger_contract import join, make_spec, outcome
from sqlalchemy import text, update

from nas_service.cli.main import run
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.store.collection import GRACE_S, WITHOUT_FILES, Collected, Flaw, collect, flaws
from nas_service.store.engine import writing
from nas_service.store.models import ArtifactRow, TrialRow, table
from nas_service.trials import Checkpoint, Proposal

MakeProposal = Callable[..., Proposal]


@pytest.fixture
def age(service: Service) -> Callable[..., None]:
    """Return what makes artifacts look as if they had been stored two days ago."""

    def set_back(*hashes: str) -> None:
        artifacts = table(ArtifactRow)
        with writing(service.engine) as connection:
            changed = update(artifacts).where(artifacts.c.sha256.in_(hashes))
            connection.execute(changed.values(created_at=text("'2026-01-01 00:00:00'")))

    return set_back


def trained(service: Service, ledger: SqlLedger, proposal: Proposal, **artifacts: str) -> int:
    """Finish a study whose one trial refers to artifacts, and return its id."""
    study = service.create_study(make_spec()).study
    lease = ledger.reserve(study, join(ledger), [proposal]).leases[0]
    ledger.complete(lease, outcome(lease.trial_id, artifacts=artifacts))
    service.cancel(study)
    return study


def collected(service: Service, **options: float) -> Collected:
    return collect(service.engine, service.stores.artifacts, **options)  # type: ignore[arg-type]


def test_only_what_is_old_and_referred_to_by_nothing_goes(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal, age: Callable[..., None]
) -> None:
    used, old, fresh = (ledger.put_artifact(content) for content in (b"used", b"old one", b"fresh"))
    trained(service, ledger, make_proposal(1), weights=used)
    age(used, old)
    would = Collected(artifacts=1, bytes=7, leftovers=0, kept=2)
    assert collected(service, dry_run=True) == would
    assert service.artifact_path(old).is_file()
    assert collected(service) == would
    assert sorted(service.stores.artifacts.names()) == sorted((used, fresh))
    assert collected(service) == Collected(artifacts=0, bytes=0, leftovers=0, kept=2)


def test_deleting_a_study_frees_its_artifacts_after_the_grace_period(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal, age: Callable[..., None]
) -> None:
    mine, shared = ledger.put_artifact(b"mine"), ledger.put_artifact(b"shared")
    first = trained(service, ledger, make_proposal(1), weights=mine, architecture=shared)
    trained(service, ledger, make_proposal(2), architecture=shared)
    service.delete(first)
    assert collected(service).artifacts == 0
    age(mine, shared)
    assert collected(service).artifacts == 1
    assert list(service.stores.artifacts.names()) == [shared]


def test_an_artifact_that_is_stored_again_is_young_again(
    service: Service, ledger: SqlLedger, age: Callable[..., None]
) -> None:
    sha256 = ledger.put_artifact(b"weights")
    age(sha256)
    # As a worker does whose result is then on its way.
    ledger.put_artifact(b"weights")
    assert collected(service).artifacts == 0
    age(sha256)
    assert collected(service).artifacts == 1
    assert ledger.put_artifact(b"weights") == sha256
    assert service.artifact_path(sha256).read_bytes() == b"weights"


def test_a_put_while_it_is_collected_is_not_lost(
    service: Service, ledger: SqlLedger, age: Callable[..., None]
) -> None:
    sha256 = ledger.put_artifact(b"weights")
    age(sha256)
    store = service.stores.artifacts

    class Meddling:
        """A store in which somebody puts the same bytes just before the collection begins to delete."""

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def delete(self, sha256: str) -> None:
            raise AssertionError("a young artifact is deleted")

        def names(self) -> list[str]:
            ledger.put_artifact(b"weights")
            return list(store.names())

    assert collect(service.engine, Meddling(), unknown=True).artifacts == 0  # type: ignore[arg-type]
    assert service.artifact_path(sha256).is_file()


def test_unknown_files_go_only_when_asked_for(service: Service, ledger: SqlLedger) -> None:
    ledger.put_artifact(b"known")
    folder = service.settings.artifacts_folder
    old, young = (hashlib.sha256(name).hexdigest() for name in (b"old", b"young"))
    for name in (old, young, ".part-old"):
        (folder / name).write_bytes(b"stranger")
    for name in (old, ".part-old"):
        os.utime(folder / name, (0, 0))
    assert collected(service, dry_run=True, unknown=True).artifacts == 1
    assert collected(service) == Collected(artifacts=0, bytes=0, leftovers=1, kept=1)
    assert (folder / old).exists()
    assert collected(service, unknown=True).artifacts == 1
    assert not (folder / old).exists()
    assert (folder / young).exists()


def test_missing_and_damaged_files_are_found(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    whole, damaged, gone = (ledger.put_artifact(content) for content in (b"whole", b"damaged", b"gone"))
    trained(service, ledger, make_proposal(1), a=whole, b=damaged, c=gone)
    assert list(flaws(service.engine, service.stores)) == []
    folder = service.settings.artifacts_folder
    (folder / damaged).write_bytes(b"others")
    (folder / gone).unlink()
    dataset = service.dataset("digits").sha256
    (service.settings.datasets_folder / f"{dataset}.safetensors").write_bytes(b"others")
    found = {(flaw.kind, flaw.sha256, flaw.flaw) for flaw in flaws(service.engine, service.stores)}
    assert found == {
        ("artifact", damaged, "damaged"),
        ("artifact", gone, "missing"),
        ("data set", dataset, "damaged"),
    }
    assert {type(flaw) for flaw in flaws(service.engine, service.stores)} == {Flaw}


def test_every_column_is_looked_at_but_those_that_hold_no_file() -> None:
    assert set(table(TrialRow).c.keys()) >= WITHOUT_FILES
    assert "artifacts" not in WITHOUT_FILES
    assert GRACE_S == 24 * 3600


def test_the_commands_say_what_goes_and_what_is_wrong(
    service: Service,
    ledger: SqlLedger,
    make_proposal: MakeProposal,
    age: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NAS_HOME", str(service.settings.data_home))
    monkeypatch.setenv("NAS_DATABASE_URL", service.settings.resolved_database_url)
    monkeypatch.delenv("NAS_ARTIFACTS_URL", raising=False)
    used, old = ledger.put_artifact(b"used"), ledger.put_artifact(b"old")
    trained(service, ledger, make_proposal(1), weights=used)
    age(old)
    for arguments in (["--dry-run"], []):
        assert run(["artifacts", "collect", "--json", *arguments]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["artifacts"], said["bytes"], said["kept"]) == (1, 3, 1)
    assert run(["artifacts", "collect", "--older-than", "-1"]) == 2
    assert run(["artifacts", "verify"]) == 0
    (service.settings.artifacts_folder / used).write_bytes(b"others")
    capsys.readouterr()
    assert run(["artifacts", "verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [{"kind": "artifact", "sha256": used, "flaw": "damaged"}]


def test_what_a_running_trial_can_be_trained_on_from_stays(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal, age: Callable[..., None]
) -> None:
    study = service.create_study(make_spec()).study
    lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
    sha256 = ledger.put_artifact(b"state")
    ledger.checkpoint(lease, Checkpoint(epoch=1, sha256=sha256))
    age(sha256)
    assert collected(service).artifacts == 0
    ledger.complete(lease, outcome(lease.trial_id))
    assert collected(service).artifacts == 1
