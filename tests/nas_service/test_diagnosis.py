"""What `nas doctor` finds, and what it says to do."""

import json
import os
import time

import pytest
from sqlalchemy import func, select, update

from nas_service.cli.main import run
from nas_service.diagnosis.activity import check_activity
from nas_service.diagnosis.check import Check, explained
from nas_service.diagnosis.database import REQUEST, check_database, clock
from nas_service.diagnosis.folders import check_artifacts, check_folder
from nas_service.diagnosis.network import check_server
from nas_service.diagnosis.packages import check_packages
from nas_service.ledger.sql import SqlLedger
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import reading, writing
from nas_service.store.models import StudyRow, table
from nas_service.studies import StudySpec
from nas_service.trials import WorkerInfo


def verdicts(checks: list[Check]) -> list[tuple[str, str]]:
    return [(check.name, check.verdict) for check in checks]


def test_a_database_in_use_is_well_and_nothing_is_left_behind(service: Service, settings: Settings) -> None:
    checks = check_database(settings)
    assert verdicts(checks) == [("database", "ok"), ("clock", "ok")]
    assert "commit takes" in checks[0].detail
    with reading(service.engine) as connection:
        assert connection.execute(select(func.count()).select_from(REQUEST)).scalar() == 0


@pytest.mark.postgres
def test_postgres_is_checked_alike_and_its_password_hidden(postgres_url: str, settings: Settings) -> None:
    there = settings.model_copy(update={"database_url": postgres_url})
    Service.open(there).close()
    checks = check_database(there)
    assert verdicts(checks) == [("database", "ok"), ("clock", "ok")]
    assert checks[0].detail.startswith("PostgreSQL ")


def test_no_database_yet_is_no_failure_and_none_is_made(settings: Settings) -> None:
    settings.data_home.mkdir()
    assert verdicts(check_database(settings)) == [("database", "warn")]
    assert not (settings.data_home / "nas.db").exists()


def test_another_schema_fails_with_what_to_run(service: Service, settings: Settings) -> None:
    with writing(service.engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    (check,) = check_database(settings)
    assert check.verdict == "fail"
    assert check.advice is not None
    assert "nas db upgrade" in check.advice


def test_a_database_that_is_away_fails_without_its_password(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://nas:hunter2@127.0.0.1:9/nas"})
    (check,) = explained("database", lambda: check_database(away), "start it")
    assert check.verdict == "fail"
    assert "hunter2" not in check.line


def test_clocks_that_differ_are_told_with_the_seconds() -> None:
    assert clock("server", lambda: time.time() + 0.5).verdict == "ok"
    seconds = clock("server", lambda: time.time() - 0.1, resolution_s=2.0)
    assert seconds.detail == "the same as the server's, which tells whole seconds"
    late = clock("database", lambda: time.time() + 3600)
    assert late.verdict == "warn"
    assert "-3600" in late.detail


def test_a_token_that_others_can_read_fails(settings: Settings) -> None:
    settings.data_home.mkdir()
    token = settings.data_home / "token"
    token.write_text("nw_secret")
    token.chmod(0o644)
    assert ("token", "fail") in verdicts(check_folder(settings))
    token.chmod(0o600)
    assert {check.verdict for check in check_folder(settings)} == {"ok"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_fails(settings: Settings) -> None:
    settings.data_home.mkdir(mode=0o500)
    assert verdicts(check_folder(settings)) == [("folder", "fail")]


def test_little_room_is_told_before_there_is_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.data_home.mkdir()
    found = []
    for bound in ("LITTLE_SPACE_BYTES", "NO_SPACE_BYTES"):
        monkeypatch.setattr(f"nas_service.diagnosis.folders.{bound}", 1e18)
        found.append(check_folder(settings)[0].verdict)
    assert found == ["warn", "fail"]


def test_a_probe_of_the_artifacts_leaves_none(settings: Settings) -> None:
    settings.data_home.mkdir()
    assert verdicts(check_artifacts(settings)) == [("artifacts", "ok")]
    assert list(settings.artifacts_folder.iterdir()) == []


def test_installed_packages_keep_their_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdicts(check_packages()) == [("packages", "ok")]
    monkeypatch.setattr("nas_service.diagnosis.packages.installed_version", lambda name: "1.0")
    (check,) = check_packages()
    assert check.verdict == "fail"
    assert "pillow 1.0 is older than 12.3" in check.detail


def test_a_running_server_is_found_with_version_clock_and_token(service: Service, settings: Settings) -> None:
    with serving(settings.model_copy(update={"port": 0})) as address:
        token = (settings.data_home / "token").read_text().strip()
        for is_worker in (False, True):
            checks = check_server(address, is_needed=True, token=token, as_worker=is_worker)
            assert verdicts(checks) == [("server", "ok"), ("clock", "ok"), ("token", "ok")]
        refused = check_server(address, is_needed=True, token="nw_wrong-0000", as_worker=True)
    assert verdicts(refused)[-1] == ("token", "fail")
    assert "nw_wrong" not in refused[-1].line


def test_no_server_is_a_failure_only_where_one_was_asked_for() -> None:
    for is_needed, verdict in ((True, "fail"), (False, "warn")):
        (check,) = check_server("http://127.0.0.1:9", is_needed=is_needed, token=None)
        assert check.verdict == verdict


def test_a_study_that_waits_says_for_what(service: Service, ledger: SqlLedger) -> None:
    study = service.create_study(StudySpec(dataset="digits")).study
    workers, waiting = check_activity(service)
    assert (workers.verdict, waiting.verdict) == ("warn", "warn")
    assert "no worker is alive" in waiting.detail
    ledger.register(WorkerInfo(name="one", host="here", pid=1))
    with writing(service.engine) as connection:
        rows = table(StudyRow)
        connection.execute(update(rows).where(rows.c.id == study).values(running=1))
    assert {check.verdict for check in check_activity(service)} == {"ok"}


def test_an_error_while_looking_is_a_finding() -> None:
    def find() -> list[Check]:
        raise OSError("no luck\nat all")

    (check,) = explained("thing", find, "try again")
    assert check.line == "fail  thing       no luck; try again"


def test_the_command_prints_a_line_each_and_exits_by_the_worst(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    monkeypatch.setenv("NAS_PORT", "9")
    monkeypatch.setattr("nas_service.diagnosis.report._start_device_check", lambda: None)
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.split()[0] in ("ok", "warn") for line in lines)
    (settings.data_home / "token").write_text("nw_secret")
    (settings.data_home / "token").chmod(0o644)
    assert run(["doctor", "-o", "json"]) == 1
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert found["token"]["verdict"] == "fail"
    assert found["database"] == {**found["database"], "verdict": "ok", "advice": None}
