"""What commands say of themselves: examples that can be typed, the page of all of them, completion."""

import os
import shlex
from pathlib import Path

import pytest

from nas_service.cli.examples import EXAMPLES
from nas_service.cli.main import command_line, run
from nas_service.cli.reference import leaves, reference
from nas_service.settings import Settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def test_the_page_is_that_of_the_commands() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m nas_service.cli.reference > docs/cli.md"
    )


def test_every_command_has_examples_that_it_takes() -> None:
    commands = dict(leaves(command_line()))
    assert commands.keys() <= EXAMPLES.keys()
    for name, command in commands.items():
        for example in EXAMPLES[name]:
            words = shlex.split(example.partition(" > ")[0])
            start = 1 + len(name.split())
            assert words[:start] == ["nas", *name.split()]
            command.make_context(name, words[start:])


def test_help_ends_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "clone", "--help"]) == 0
    assert "Examples:\n    nas study clone 3 --name smaller\n" in capsys.readouterr().out


def test_the_shell_completes_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_NAS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "nas study re")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit):
        run([])
    assert "resume" in capsys.readouterr().out.split()


def test_a_configuration_file_speaks_where_the_environment_is_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NAS_SERVER", "NAS_TOKEN", "NAS_LEASE_S"):
        # Set first, so that what the file sets is taken back after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NAS_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "config.toml").write_text(
        f'server = "http://127.0.0.1:9"\nlease_s = 7\nhome = "/nowhere"\ntoken_file = "{tmp_path}/token"\n'
    )
    assert run(["study", "list"]) == 5
    assert "http://127.0.0.1:9" in capsys.readouterr().err
    assert (os.environ["NAS_TOKEN"], Settings().lease_s) == ("secret", 7.0)
    assert os.environ["NAS_HOME"] == str(tmp_path / "home")
    (tmp_path / "config.toml").write_text("servr = 1\n")
    assert run(["study", "list"]) == 2
    assert "servr" in capsys.readouterr().err
