"""Faults at random, from a fixed seed and one of the day, on both databases; all invariants afterwards."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from databases import running
from nursery import Nursery
from storm import MODULES, Storm

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
SECONDS = float(os.environ.get("CHAOS_SECONDS", "10"))
FIXED = 5
TODAY = int(os.environ.get("CHAOS_SEED", datetime.now(UTC).strftime("%Y%m%d")))


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(*MODULES) as nursery:
        yield nursery


@pytest.mark.parametrize("seed", [FIXED, TODAY])
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_after_a_storm_everything_is_as_it_must_be(
    kind: str, seed: int, nursery: Nursery, tmp_path: Path
) -> None:
    with running(kind) as database:  # type: ignore[arg-type]
        storm = Storm(database, tmp_path, seed, trials_a_study=20)
        try:
            result = storm.run(SECONDS, nursery)
            assert result.violations == []
        except BaseException:
            print("\n".join(storm.history))  # noqa: T201
            print(f"again: CHAOS_SEED={seed} CHAOS_SECONDS={SECONDS:g} pytest {__file__} -k {kind}")  # noqa: T201
            raise
    assert result.trials > 0
    assert result.faults
