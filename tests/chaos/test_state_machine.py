"""Any order of what workers and people do, with leases that run out in between, ends as the model says."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from machine import LedgerMachine

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
# `make soak` asks for more.
EXAMPLES = int(os.environ.get("CHAOS_EXAMPLES", "60"))
STEPS = int(os.environ.get("CHAOS_STEPS", "40"))
# Making a failure short takes longer than finding it; who only wants to know whether there is one says 0.
PHASES = tuple(Phase)[:3] if os.environ.get("CHAOS_SHRINK") == "0" else tuple(Phase)
SEED = int(os.environ.get("CHAOS_SEED", datetime.now(UTC).strftime("%Y%m%d")))


def test_the_ledger_does_what_its_model_does(new_database: Path) -> None:
    LedgerMachine.template = new_database
    shortly = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        phases=PHASES,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(SEED)(LedgerMachine), settings=shortly)
    except BaseException:
        print(f"again: CHAOS_SEED={SEED} pytest {__file__}")  # noqa: T201
        raise
