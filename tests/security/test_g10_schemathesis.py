"""G10: the API answers what its OpenAPI document says, and never a 5xx. Long form: `make fuzz`."""

from pathlib import Path

from fuzz_api import fuzz


def test_every_operation_keeps_its_word(tmp_path: Path) -> None:
    status, said = fuzz(tmp_path / "home", examples=3, seed=1, phases="examples,fuzzing")
    assert status == 0, said[-8000:]
    assert "Server error" not in said
