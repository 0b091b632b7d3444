"""`nas describe` and `nas family show`: what they print is read again, and errors are one line."""

import csv
import io
import json
from pathlib import Path

import pytest
import yaml

from nas_service.cli.main import run
from nas_service.descriptions import ArchitectureView, describe
from nas_service.plain_data import read_data
from nas_service.spec_file import read_spec
from search_spaces import families, resolve_space
from search_spaces.families.pictures import typical
from search_spaces.svg_file import standalone

DATA = typical(families.names()[0]).to_dict()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No server, and a data folder that does not exist."""
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    for name in ("NAS_SERVER", "NAS_TOKEN", "NAS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "architecture.yaml"
    path.write_text(yaml.safe_dump(DATA))
    return str(path)


def test_the_table_shows_every_layer_and_the_totals(
    file: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["describe", file]) == 0
    printed, view = capsys.readouterr().out, describe(DATA)
    for layer in view.cost.layers:
        assert layer.name in printed
    assert f"{view.cost.params:,}" in printed
    assert view.architecture_hash in printed
    # Pure computation: not even the data folder is made.
    assert not home.exists()


def test_json_and_yaml_say_what_the_api_says(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", file, "--json"]) == 0
    assert ArchitectureView.model_validate_json(capsys.readouterr().out) == describe(DATA)
    assert run(["describe", file, "-o", "yaml"]) == 0
    assert ArchitectureView.model_validate(read_data(capsys.readouterr().out)) == describe(DATA)


def test_csv_has_a_row_a_layer(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", file, "-o", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    cost = describe(DATA).cost
    assert [row["name"] for row in rows] == [layer.name for layer in cost.layers]
    assert sum(int(row["macs"]) for row in rows) == cost.macs


def test_the_picture_is_written_or_printed(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = standalone(describe(DATA).svg)
    assert run(["describe", file, "--svg", str(tmp_path / "a.svg")]) == 0
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == picture
    capsys.readouterr()
    assert run(["describe", file, "--svg", "-"]) == 0
    assert capsys.readouterr().out == picture


def test_a_dash_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(DATA).encode())))
    assert run(["describe", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture_hash"] == describe(DATA).architecture_hash


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", ["mapping"]),
        ("", ["mapping"]),
        ("{", ["not valid", "line"]),
        ("a: &x 1\nb: *x", ["aliases"]),
        (yaml.safe_dump({**DATA, "clases": 3}), ["clases", "did you mean 'classes'"]),
        (yaml.safe_dump({**DATA, "classes": True}), ["classes", "True", "2 to 100000"]),
        (yaml.safe_dump({**DATA, "head": {"pool": "x\ny"}}), ["head.pool", "avg, max, flatten"]),
        ("x" * 10_000_000, ["too long", "bytes"]),
    ],
)
def test_an_error_is_one_line_that_names_the_field(
    text: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    assert run(["describe", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("arguments", "code"), [(["nowhere.yaml"], 3), (["."], 3), (["{file}", "--svg", "/nowhere/a.svg"], 1)]
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(
    arguments: list[str], code: int, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["describe", *(argument.format(file=file) for argument in arguments)]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("name", families.names())
def test_a_printed_family_is_the_space_of_a_study(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["family", "show", name]) == 0
    printed = capsys.readouterr().out
    family = families.get(name)
    comments = " ".join(line[2:] for line in printed.splitlines() if line.startswith("# "))
    assert family.summary in comments
    assert family.source in comments
    assert resolve_space(read_data(printed)) == family.space
    indented = "".join(f"  {line}\n" for line in printed.splitlines())
    assert resolve_space(read_spec(f"dataset: digits\nspace:\n{indented}").space) == family.space
