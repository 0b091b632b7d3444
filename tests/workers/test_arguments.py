"""`nas-worker`'s options for training: what is refused, and with which words."""

import pytest

from workers.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at-once", "0"], "'0' must be a whole number of at least 1, or auto"),
        (["--at-once", "many"], "'many' must be a whole number of at least 1, or auto"),
        (["--workers-here", "-1"], "'-1' must be a whole number of at least 1"),
        (["--memory-limit-gb", "0.5"], "'0.5' must be a number of at least 1"),
        (["--memory-limit-gb", "nan"], "'nan' must be a number of at least 1"),
        (["--memory-limit-gb", "inf"], "'inf' must be a number of at least 1"),
        (["--memory-limit-gb", "much"], "'much' must be a number of at least 1"),
    ],
)
def test_a_wrong_number_is_refused_with_what_is_allowed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main([f"{arguments[0]}={arguments[1]}"])
    assert ending.value.code == 2
    assert message in capsys.readouterr().err


def test_an_unknown_accelerator_ends_the_worker_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    monkeypatch.delenv("NAS_DATABASE_URL", raising=False)
    with pytest.raises(SystemExit) as ending:
        main(["--accelerator", "tpu"])
    assert ending.value.code == 1
    assert "accelerator (tpu) must be auto, auto:N, cpu, cuda or cuda:N" in capsys.readouterr().err
