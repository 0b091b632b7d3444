"""Copies of the SQLite database while others write, and the way back."""

import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ledger_contract import join, make_spec, outcome

from nas_service.cli.main import run
from nas_service.errors import Conflict, InvalidInput
from nas_service.ledger.protocol import LeaseLost
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.backup import backup, restore
from nas_service.store.migrate import NewerDatabase
from nas_service.trials import Proposal

MakeProposal = Callable[..., Proposal]


@pytest.fixture
def database(settings: Settings) -> Path:
    return settings.data_home / "nas.db"


@pytest.fixture(autouse=True)
def _own_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    for name in ("NAS_SERVER", "NAS_TOKEN", "NAS_DATABASE_URL", "NAS_ARTIFACTS_URL"):
        monkeypatch.delenv(name, raising=False)


def names_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM studies ORDER BY id")]


def test_a_copy_is_consistent_while_others_write(
    service: Service, ledger: SqlLedger, database: Path, tmp_path: Path, make_proposal: MakeProposal
) -> None:
    study = service.create_study(make_spec()).study
    worker = join(ledger)
    enough, written = threading.Event(), threading.Event()

    def write() -> None:
        seed = 0
        while not enough.is_set():
            seed += 1
            proposal = make_proposal(seed).model_copy(update={"violations": {"params": 1.0}})
            ledger.reserve(study, worker, [proposal])
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert written.wait(60)
    copies = [tmp_path / f"copy-{number}.db" for number in range(3)]
    for copy in copies:
        backup(database, copy)
    enough.set()
    writer.join()
    for copy in copies:
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counted = connection.execute("SELECT infeasible FROM studies").fetchone()
            assert connection.execute("SELECT count(*) FROM trials").fetchone() == counted
    # Each is one file, and nothing else is left.
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert left == {copy.name for copy in copies}


def test_a_file_that_is_there_is_not_replaced_unasked(
    service: Service, database: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copy.db"
    target.write_bytes(b"precious")
    with pytest.raises(Conflict, match="--force"):
        backup(database, target)
    assert target.read_bytes() == b"precious"
    backup(database, target, force=True)
    assert names_in(target) == []


def test_a_damaged_database_is_not_copied_in_silence(
    service: Service, database: Path, tmp_path: Path
) -> None:
    service.create_study(make_spec())
    service.close()
    with database.open("r+b") as stream:
        stream.seek(3 * 4096)
        stream.write(b"\xff" * 8 * 4096)
    with pytest.raises(Conflict, match=r"damaged|cannot be copied"):
        backup(database, tmp_path / "copy.db")
    assert list(tmp_path.glob("*.db")) == []


def test_a_restored_database_is_that_of_the_backup_and_the_old_one_is_kept(
    service: Service, database: Path, tmp_path: Path
) -> None:
    service.create_study(make_spec(name="before"))
    backup(database, tmp_path / "copy.db")
    service.create_study(make_spec(name="after"))
    service.close()
    kept = restore(tmp_path / "copy.db", database)
    assert kept is not None
    assert kept.parent == database.parent
    assert names_in(kept) == ["before", "after"]
    assert names_in(database) == ["before"]
    again = Service.open(service.settings)
    # The number of the study that is gone is not given out again.
    assert again.create_study(make_spec(name="next")).study == 3
    again.close()


def test_a_worker_from_before_a_restore_changes_nothing_after_it(
    service: Service, ledger: SqlLedger, database: Path, tmp_path: Path, make_proposal: MakeProposal
) -> None:
    study = service.create_study(make_spec()).study
    first = ledger.reserve(study, join(ledger, "first"), [make_proposal(1)]).leases[0]
    backup(database, tmp_path / "copy.db")
    ledger.release(first)
    late = ledger.next_work(join(ledger, "late")).lease
    assert late is not None
    service.close()
    restore(tmp_path / "copy.db", database)
    again = Service.open(service.settings)
    ledger = SqlLedger(again.engine, settings=again.settings)
    work = ledger.next_work(join(ledger, "heir"))
    assert work.lease is not None
    assert work.lease.trial_id == late.trial_id
    assert ledger.heartbeat(late) == "lost"
    with pytest.raises(LeaseLost):
        ledger.complete(late, outcome(1))
    ledger.complete(work.lease, outcome(2))
    assert again.study(study).trials.complete == 1
    again.close()


def test_a_damaged_database_is_replaced_and_kept(service: Service, database: Path, tmp_path: Path) -> None:
    service.create_study(make_spec(name="before"))
    backup(database, tmp_path / "copy.db")
    service.close()
    database.write_bytes(b"nothing that SQLite knows" * 1000)
    kept = restore(tmp_path / "copy.db", database)
    assert kept is not None
    assert kept.read_bytes().startswith(b"nothing that SQLite knows")
    assert names_in(database) == ["before"]


def test_a_new_machine_is_set_up_from_a_backup(service: Service, database: Path, tmp_path: Path) -> None:
    service.create_study(make_spec(name="moved"))
    backup(database, tmp_path / "copy.db")
    there = tmp_path / "there" / "nas.db"
    assert restore(tmp_path / "copy.db", there) is None
    assert names_in(there) == ["moved"]


def test_nothing_is_restored_while_somebody_has_the_database_open(
    service: Service, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas_service.store.backup.PATIENCE_S", 0.1)
    service.create_study(make_spec(name="running"))
    backup(database, tmp_path / "copy.db")
    assert service.latest_event() > 0
    with pytest.raises(Conflict, match="stop them"):
        restore(tmp_path / "copy.db", database)
    assert service.create_study(make_spec(name="goes on")).study == 2


def test_a_newer_and_a_foreign_file_are_refused(service: Service, database: Path, tmp_path: Path) -> None:
    service.create_study(make_spec(name="mine"))
    newer, foreign, text = (tmp_path / name for name in ("newer.db", "foreign.db", "text.db"))
    backup(database, newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
        connection.commit()
    text.write_text("dear diary " * 100)
    service.close()
    with pytest.raises(NewerDatabase, match="9999"):
        restore(newer, database)
    for path, words in ((foreign, "no studies"), (text, "not a database")):
        with pytest.raises(InvalidInput, match=words):
            restore(path, database)
    assert names_in(database) == ["mine"]
    assert [path.name for path in database.parent.glob("*.before-*")] == []


def test_the_commands_say_what_is_no_part_of_a_backup(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.create_study(make_spec(name="mine"))
    service.close()
    copy = tmp_path / "copy.db"
    assert run(["db", "backup", str(copy)]) == 0
    assert "artifacts and data sets lie in" in capsys.readouterr().err
    assert run(["db", "backup", str(copy)]) == 4
    assert "--force" in capsys.readouterr().err
    assert run(["db", "backup", str(copy), "--force"]) == 0
    capsys.readouterr()
    assert run(["db", "backup", str(tmp_path / "none" / "copy.db")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["db", "restore", str(copy)]) == 0
    assert "is kept as" in capsys.readouterr().err
    assert run(["db", "restore", str(tmp_path / "gone.db")]) == 3
    shutil.copy(__file__, tmp_path / "foreign.db")
    capsys.readouterr()
    assert run(["db", "restore", str(tmp_path / "foreign.db")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_on_postgres_the_commands_name_its_own_tools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_DATABASE_URL", "postgresql://nas:secret@db.example/nas")
    assert run(["db", "backup", "copy.dump"]) == 2
    said = capsys.readouterr().err
    assert "pg_dump --format=custom --file=copy.dump 'postgresql://nas@db.example/nas'" in said
    assert run(["db", "restore", "copy.dump"]) == 2
    said += capsys.readouterr().err
    assert "pg_restore --clean --if-exists --dbname='postgresql://nas@db.example/nas' copy.dump" in said
    assert "secret" not in said


def test_what_is_left_of_the_log_of_a_database_that_is_gone_is_not_replayed(
    service: Service, database: Path, tmp_path: Path
) -> None:
    service.create_study(make_spec(name="saved"))
    backup(database, tmp_path / "copy.db")
    service.create_study(make_spec(name="lost"))
    left = {ending: Path(f"{database}{ending}").read_bytes() for ending in ("-wal", "-shm")}
    assert left["-wal"]
    service.close()
    database.unlink()
    # As a server leaves them that was killed.
    for ending, content in left.items():
        Path(f"{database}{ending}").write_bytes(content)
    restore(tmp_path / "copy.db", database)
    assert names_in(database) == ["saved"]
