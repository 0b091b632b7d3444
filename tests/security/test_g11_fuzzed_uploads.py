"""G11: what chance makes of good inputs is read or refused. Long form: `make fuzz`."""

from pathlib import Path

from fuzz_uploads import READER_BYTES, fuzz
from mutations import KINDS, mutated

from nas_service.reading_process import OWN_BYTES

COUNT = 20 * len(KINDS)


def test_mutated_inputs_are_read_or_refused(tmp_path: Path) -> None:
    tally = fuzz(seed=1, count=COUNT, home=tmp_path / "home")
    assert tally.failures == []
    assert sum(tally.ends.values()) > COUNT
    assert {line.split()[0] for line in tally.ends} == set(KINDS)
    assert {line.split()[-1] for line in tally.ends} == {"accepted", "refused"}
    assert tally.peak_mib * 1024**2 < READER_BYTES + OWN_BYTES


def test_an_input_is_the_same_for_the_same_seed_and_number() -> None:
    for number in range(len(KINDS) * 3):
        assert mutated(7, number) == mutated(7, number)
