"""What `examples` and the documentation tell people to type is what the commands take."""

import re
import shlex
from pathlib import Path

import click
import pytest

from nas_service.cli.main import command_line
from nas_service.cli.reference import leaves
from nas_service.spec_file import read_spec
from search_spaces import RandomTrial, resolve_space

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
SCRIPT = ROOT / "examples" / "search_export_predict.sh"
SPECS = sorted(ROOT.glob("examples/*/spec.yaml"))
COMMANDS = dict(leaves(command_line()))


def check(line: str) -> None:
    """Let the command of a line parse its words; raises where it does not take them."""
    words = shlex.split(re.split(r" [|>] ", line)[0], comments=True)
    name = next((name for size in (2, 1) if (name := " ".join(words[1 : 1 + size])) in COMMANDS), None)
    assert name, f"there is no command {line!r}"
    COMMANDS[name].make_context(name, words[1 + len(name.split()) :])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_on_a_page_are_taken_as_they_stand_there(page: Path) -> None:
    for line in re.findall(
        r"^    (?:\S+=\S+ )*(?:\.venv/bin/)?(nas .*)$", page.read_text("utf-8"), re.MULTILINE
    ):
        try:
            check(line)
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_commands_of_the_script_are_taken_whatever_it_is_given() -> None:
    given = {
        "$spec": "spec.yaml",
        "$folder": "out",
        "$examples": "some.npy",
        "$1": "3",
        "$2": "17",
        "$4": "data",
    }
    found = re.findall(r"(?:^|\$\()\s*(nas [^|\n]*)", SCRIPT.read_text("utf-8"), re.MULTILINE)
    assert [line.split()[1] for line in found] == ["data", "search", "trial", "predict"]
    for line in found:
        plain = re.sub(r'"\$\(sed.*?\)"', "name", line)
        for variable, value in given.items():
            plain = plain.replace(f'"{variable}"', value)
        assert "$" not in plain
        check(plain)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.parent.name)
def test_an_example_is_a_study_and_its_page_calls_what_is_there(spec: Path) -> None:
    study = read_spec(spec.read_bytes())
    shapes = {"images": (1, 8, 8), "signals": (1, 8192), "spectrograms": (1, 40, 80)}
    assert resolve_space(study.space).sample(RandomTrial(0), shapes[spec.parent.name], 10)
    calls = re.findall(
        r"^    (examples/\S+) (\S+) \S+ \S+", (spec.parent / "README.md").read_text("utf-8"), re.M
    )
    assert calls == [(SCRIPT.relative_to(ROOT).as_posix(), spec.relative_to(ROOT).as_posix())]
    assert SCRIPT.stat().st_mode & 0o111
