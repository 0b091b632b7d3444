"""Guards broken on purpose: one text each is replaced in a copy of the packages, and a test turns red.

python tests/chaos/broken.py [NAME ...]
"""

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("nas_service", "workers", "search_spaces", "alembic")
ON_SQLITE = "tests/nas_service/test_sql_ledger.py::TestSqlLedger::"
DENIAL = "tests/security/access/test_s02_default_deny.py::"
ORIGINS = "tests/security/access/test_s03_other_origins.py::"


@dataclass(frozen=True)
class Mutant:
    """A guard, and how it is taken away."""

    name: str
    path: str
    old: str
    new: str
    # What must notice.
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "fence of heartbeats and reports",
        "nas_service/ledger/sql.py",
        "(TRIAL.c.id == lease.trial_id) & (TRIAL.c.attempt == lease.attempt) & is_held",
        '(TRIAL.c.id == lease.trial_id) & (TRIAL.c.state == "running")',
        (ON_SQLITE + "test_an_expired_trial_is_taken_over_and_the_late_worker_changes_nothing[sqlite]",),
    ),
    Mutant(
        "fence of results",
        "nas_service/ledger/endings.py",
        "(TRIAL.c.id == lease.trial_id) & (TRIAL.c.attempt == lease.attempt) & is_held",
        '(TRIAL.c.id == lease.trial_id) & (TRIAL.c.state == "running")',
        (ON_SQLITE + "test_an_expired_trial_is_taken_over_and_the_late_worker_changes_nothing[sqlite]",),
    ),
    Mutant(
        "a result counts for a running trial only",
        "nas_service/ledger/endings.py",
        '(TRIAL.c.worker_id == lease.worker_id) & (TRIAL.c.state == "running")',
        "(TRIAL.c.worker_id == lease.worker_id)",
        (ON_SQLITE + "test_the_same_report_twice_counts_once[sqlite]",),
    ),
    Mutant(
        "report id",
        "nas_service/ledger/endings.py",
        "if before.report_id == outcome.report_id:",
        "if before.report_id is not None:",
        (ON_SQLITE + "test_the_same_report_twice_counts_once[sqlite]",),
    ),
    Mutant(
        "fence of releases",
        "nas_service/ledger/sql.py",
        "holds = _holds(lease) & (TRIAL.c.lease_expires_at > 0)",
        "holds = (TRIAL.c.id == lease.trial_id) & (TRIAL.c.lease_expires_at > 0)",
        (ON_SQLITE + "test_a_late_release_takes_nothing_from_the_next_worker[sqlite]",),
    ),
    Mutant(
        "a lease given back is not renewed",
        "nas_service/ledger/sql.py",
        "return _holds(lease) & (TRIAL.c.lease_expires_at > 0)",
        "return _holds(lease)",
        (ON_SQLITE + "test_a_heartbeat_under_way_does_not_renew_a_lease_that_was_given_back[sqlite]",),
    ),
    Mutant(
        "clock of the database",
        "nas_service/store/engine.py",
        "    return literal_column(\"((julianday('now') - 2440587.5) * 86400.0)\", Float)",
        '    return literal_column(repr(__import__("time").time()), Float)',
        ("tests/chaos/test_clocks.py::test_a_wrong_clock_neither_steals_nor_keeps_a_trial[-3600]",),
    ),
    Mutant(
        "take-over of what has run out only",
        "nas_service/ledger/asking.py",
        '(TRIAL.c.state == "running") & (TRIAL.c.lease_expires_at < now_seconds(connection))',
        '(TRIAL.c.state == "running")',
        (ON_SQLITE + "test_a_lease_that_has_not_run_out_is_not_taken_over[sqlite]",),
    ),
    Mutant(
        "three workers and no more",
        "nas_service/ledger/sql.py",
        "if row.lost >= MAX_ATTEMPTS:",
        "if row.lost > MAX_ATTEMPTS:",
        (ON_SQLITE + "test_a_trial_that_loses_three_workers_is_failed[sqlite]",),
    ),
    Mutant(
        "budget under the study's lock",
        "nas_service/ledger/proposals.py",
        "statement = update(STUDY).where(STUDY.c.id == study_id, is_open, has_room)",
        "statement = update(STUDY).where(STUDY.c.id == study_id, is_open)",
        (ON_SQLITE + "test_an_infeasible_outcome_frees_its_place_in_the_budget[sqlite]",),
    ),
    Mutant(
        "counters in the transaction of the row",
        "nas_service/ledger/endings.py",
        '"running": STUDY.c.running - 1,',
        '"running": STUDY.c.running,',
        ("tests/chaos/test_state_machine.py",),
    ),
    Mutant(
        "revisions of take-overs",
        "nas_service/ledger/sql.py",
        """"started_at": datetime.now(UTC),
                "revision": study["revision"],""",
        '"started_at": datetime.now(UTC),',
        (ON_SQLITE + "test_changes_hold_a_trial_that_was_taken_over[sqlite]",),
    ),
    Mutant(
        "end of a resumed study",
        "nas_service/store/studies.py",
        'endings.end_if_done(connection, {**study, "state": target, "reason": ""})',
        "pass",
        (ON_SQLITE + "test_a_study_used_up_while_it_was_paused_ends_when_it_is_resumed[sqlite]",),
    ),
    Mutant(
        "artifacts on the disk before their name",
        "nas_service/content.py",
        "os.fsync(stream.fileno())",
        "pass",
        ("tests/chaos/test_durability.py",),
    ),
    Mutant(
        "artifacts whole before their name",
        "nas_service/content.py",
        "os.replace(temporary, target)",
        "os.link(temporary, target)",
        ("tests/chaos/test_durability.py",),
    ),
    Mutant(
        "results on the disk before they wait",
        "workers/spool.py",
        "os.fsync(stream.fileno())",
        "pass",
        ("tests/chaos/test_durability.py",),
    ),
    Mutant(
        "hash of what is downloaded",
        "nas_service/node_cache.py",
        "if found == sha256:",
        "if found:",
        ("tests/nas_service/test_file_stores.py::test_one_damaged_twice_is_refused_and_not_kept",),
    ),
    Mutant(
        "hash of what is stored",
        "nas_service/content.py",
        "if found != sha256:",
        "if not found:",
        ("tests/chaos/test_durability.py",),
    ),
    Mutant(
        "events of transactions under way",
        "nas_service/store/events.py",
        "age(events.xmin) > age(",
        "age(events.xmin) > -age(",
        ("tests/chaos/test_drills.py::test_events_of_a_slow_transaction_are_not_passed_over",),
    ),
    Mutant(
        "default-deny",
        "nas_service/api/admission.py",
        "if actor is None and self._is_open and not policy.needs_token:",
        "if actor is None and not policy.needs_token:",
        (DENIAL + "test_nothing_but_the_public_routes_answers_outside_without_a_token",),
    ),
    Mutant(
        "Host",
        "nas_service/api/guard.py",
        "if not self._is_known(host):",
        "if not host:",
        (ORIGINS + "test_a_foreign_host_is_refused",),
    ),
    Mutant(
        "Origin",
        "nas_service/api/guard.py",
        "return origin is not None and not _is_of(origin, host, request.url.scheme)",
        "return False",
        (ORIGINS + "test_pages_of_other_origins_change_nothing",),
    ),
    Mutant(
        "sequence of events",
        "nas_service/store/events.py",
        "EVENT.c.sequence > sequence",
        "EVENT.c.sequence >= sequence",
        ("tests/nas_service/api/test_events.py::test_events_are_listed_behind_a_sequence[sqlite]",),
    ),
    Mutant(
        "Idempotency-Key",
        "nas_service/api/idempotency.py",
        "if row.status != UNANSWERED:",
        "if False:",
        ("tests/nas_service/api/test_studies.py::test_the_same_key_and_body_launch_one_study[sqlite]",),
    ),
)  # fmt: skip


def copy_packages(folder: Path) -> None:
    """Copy what is tested, and nothing else."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=2)


def is_noticed(mutant: Mutant, folder: Path) -> bool:
    """Break one guard in the copy, run its tests there, and mend it again."""
    path = folder / mutant.path
    whole = path.read_text(encoding="utf-8")
    assert whole.count(mutant.old) == 1, (
        f"{mutant.name}: {mutant.path} holds its text {whole.count(mutant.old)} times"
    )
    # Neither size nor time need tell the broken file's byte code from the whole one's.
    Path(cache_from_source(str(path))).unlink(missing_ok=True)
    path.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return run(folder, mutant.tests) == 1
    finally:
        path.write_text(whole, encoding="utf-8")


def run(folder: Path, tests: Iterable[str]) -> int:
    """Run tests against the copy and return pytest's code: 0 green, 1 red, anything else no answer."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("NAS_", "PYTEST_"))
    }
    environment |= {
        "PYTHONPATH": str(folder),
        "CHAOS_EXAMPLES": "15",
        "CHAOS_STEPS": "30",
        "CHAOS_SEED": "1",
        "CHAOS_SHRINK": "0",
    }
    # Byte code of a broken file must not be kept; plugins that nobody needs take longer than most tests.
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    named = [str(ROOT / test) if test.startswith("tests/") else test for test in tests]
    options = f"-q -x -p no:cacheprovider -p pytest_timeout --rootdir {ROOT} -c {ROOT / 'pyproject.toml'}"
    command = [sys.executable, "-m", "pytest", *options.split()]
    ended = subprocess.run(
        [*command, *named], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    if ended.returncode not in (0, 1):
        raise AssertionError(f"the tests could not run:\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}")
    return ended.returncode


def main(names: Sequence[str]) -> int:
    """Break one guard after another and print which were noticed; 1 if one was not."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="nas-broken-") as name:
        folder = Path(name)
        copy_packages(folder)
        if run(folder, sorted({test for mutant in chosen for test in mutant.tests})):
            print("the tests are red with all guards whole")  # noqa: T201
            return 1
        for mutant in chosen:
            began = time.monotonic()
            is_red = is_noticed(mutant, folder)
            unnoticed += not is_red
            verdict = "noticed" if is_red else "NOT NOTICED"
            took = f"{time.monotonic() - began:6.1f} s"
            print(f"{verdict:14}{mutant.name:45}{mutant.path:38}{took}", flush=True)  # noqa: T201
    print(f"{len(chosen) - unnoticed} of {len(chosen)} noticed")  # noqa: T201
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
