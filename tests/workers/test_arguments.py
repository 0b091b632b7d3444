"""`nas-worker`'s options for training: what is refused, and with which words."""

import pytest

from workers.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at-once", "0"], "'0' must be a whole number of at least 1, or auto"),
        (["--at-once", "many"], "'many' must be a whole number of at least 1, or auto"),
        (["--accelerator", "tpu"], "'tpu' must be auto, auto:N, cpu, cuda or cuda:N"),
        (["--accelerator", "cuda:"], "'cuda:' must be auto, auto:N, cpu, cuda or cuda:N"),
        (["--threads", "0"], "'0' must be a whole number of at least 1"),
        (["--workers-here", "-1"], "'-1' must be a whole number of at least 1"),
        (["--memory-limit-gb", "0.5"], "'0.5' must be a number of at least 1"),
        (["--memory-limit-gb", "nan"], "'nan' must be a number of at least 1"),
        (["--memory-limit-gb", "inf"], "'inf' must be a number of at least 1"),
        (["--memory-limit-gb", "much"], "'much' must be a number of at least 1"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main([f"{arguments[0]}={arguments[1]}"])
    assert ending.value.code == 2
    assert message in capsys.readouterr().err
