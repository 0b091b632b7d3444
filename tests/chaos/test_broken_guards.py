"""A guard that is taken away turns a test red: three of the list by the day, all by `make mutants`."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from broken import MUTANTS, ROOT, Mutant, copy_packages, is_noticed

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
A_DAY = 3
DAY = datetime.now(UTC).toordinal()
TODAY = [MUTANTS[(A_DAY * DAY + place) % len(MUTANTS)] for place in range(A_DAY)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    copy_packages(folder)
    return folder


def test_there_are_enough_guards_and_each_is_where_the_list_says() -> None:
    assert len(MUTANTS) >= 12
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert (ROOT / mutant.path).read_text(encoding="utf-8").count(mutant.old) == 1, mutant.name


@pytest.mark.parametrize("mutant", TODAY, ids=lambda mutant: mutant.name)
def test_a_broken_guard_is_noticed(mutant: Mutant, packages: Path) -> None:
    assert is_noticed(mutant, packages)
