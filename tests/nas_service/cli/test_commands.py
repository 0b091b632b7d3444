"""Commands on the local data folder: what they print, and what an error means to the shell."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from nas_service import __version__
from nas_service.cli.confirming import show_confirmation
from nas_service.cli.main import run
from nas_service.cli.output import Format, cell
from nas_service.confirmations import ConfirmationView, ConfirmedMember
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import StudySpec
from nas_service.views import Confirmed


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    for name in ("NAS_SERVER", "NAS_TOKEN", "NAS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def errors_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.strip().splitlines()


def test_version_is_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_family_list_names_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["family", "list", "--json"]) == 0
    names = {family["name"] for family in json.loads(capsys.readouterr().out)}
    assert {"two_conv", "two_conv_block", "pyramidal", "multi_scale"} <= names


def test_family_show_prints_a_space_that_a_spec_accepts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["family", "show", "two_conv"]) == 0
    space = yaml.safe_load(capsys.readouterr().out)
    assert isinstance(space, dict)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["search", "--dataset", "nowhere"], 2, ["dataset", "nowhere", "digits"]),
        (["search", "--dataset", "nosuch.npz"], 2, ["dataset", "no file or folder nosuch.npz"]),
        (["search", "--dataset", "./nosuch", "--dry-run"], 2, ["dataset", "no file or folder ./nosuch"]),
        (["search", "--dataset", "digits", "--family", "pyramid"], 2, ["pyramid", "pyramidal"]),
        (["search", "--dataset", "digits", "--objective", "speed"], 2, ["speed", "accuracy"]),
        (["search", "--dataset", "digits", "--sampler", "best"], 2, ["sampler", "tpe"]),
        (["search", "--dataset", "digits", "--trials", "0"], 2, ["trials"]),
        (["search"], 2, ["dataset"]),
        (["search", "--trials", "abc"], 2, ["nas search: --trials must be a whole number, not 'abc'"]),
        (["search", "--minutes", "abc"], 2, ["nas search: --minutes must be a number, not 'abc'"]),
        (["up", "--port", "99999"], 2, ["--port must be at most 65535, not '99999'"]),
        (["search", "--workers", "0"], 2, ["--workers must be at least 1, not '0'"]),
        (["trial", "show", "1", "x"], 2, ["must be a whole number, not 'x'"]),
        (["search", "missing.yaml"], 3, ["missing.yaml"]),
        (["search", "--frobnicate"], 2, ["--frobnicate"]),
        (["study", "show", "7"], 3, ["no study 7", "nas study list"]),
        (["study", "pause", "nothing-of-that-name"], 3, ["nothing-of-that-name", "nas study list"]),
        (
            ["trial", "export", "1", "2", "-o", "x", "--job", "9" * 30],
            2,
            ["job", "at most 9223372036854775807"],
        ),
        (["study", "extend", "7"], 2, ["--trials", "--limit"]),
        (["trial", "show", "7", "0"], 3, ["no study 7", "nas study list"]),
        (["job", "show", "7"], 3, ["no job 7", "nas job list"]),
        (["data", "delete", "nothing-of-that-name"], 3, ["nothing-of-that-name", "nas data list"]),
        (["study", "list", "-o", "xml"], 2, ["'-o'", ": 'xml' is not one of 'table'"]),
        (["family", "show", "pyramid"], 3, ["pyramid"]),
        (["data", "add", "nowhere.npz"], 3, ["nowhere.npz"]),
        (["study", "list", "--server", "http://127.0.0.1:9"], 5, ["127.0.0.1:9", "nas up"]),
        (["study", "list", "--server", "localhost"], 2, ["server", "'localhost'", "http://HOST:PORT"]),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(
    arguments: list[str], code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    lines = errors_of(capsys)
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize("command", ["search", "describe"])
def test_a_text_that_cannot_be_read_is_named_by_its_file(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("dataset: [digits\n")
    assert run([command, str(path)]) == 2
    (line,) = errors_of(capsys)
    assert f"{path}: not valid YAML or JSON" in line


def test_an_empty_file_is_called_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.yaml"
    for content in ("", "\n", "# nothing yet\n"):
        path.write_text(content)
        assert run(["search", str(path)]) == 2
        (line,) = errors_of(capsys)
        assert str(path) in line
        assert "is empty" in line


def test_an_unknown_field_of_a_spec_file_is_named_with_a_suggestion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("dataset: digits\ntraining: {epoch: 3}\n")
    assert run(["search", str(path)]) == 2
    lines = errors_of(capsys)
    assert len(lines) == 1
    assert "epoch" in lines[0]
    assert "epochs" in lines[0]


def bad_arrays() -> dict[str, tuple[dict[str, np.ndarray], str]]:
    images = np.zeros((12, 8, 8), dtype=np.float32)
    labels = np.arange(12) % 3
    nan = images.copy()
    nan[3, 2, 1] = np.nan
    return {
        "lengths": ({"x_train": images, "y_train": labels[:10]}, "12"),
        "nan": ({"x_train": nan, "y_train": labels}, "NaN"),
        "one-class": ({"x_train": images, "y_train": np.zeros(12, dtype=int)}, "class"),
        "keys": ({"pictures": images, "y_train": labels}, "x_train"),
    }


@pytest.mark.parametrize("case", bad_arrays())
def test_a_bad_data_set_is_refused_in_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays, word = bad_arrays()[case]
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    for arguments in (["data", "add", str(path)], ["search", "--dataset", str(path)]):
        assert run(arguments) == 2
        lines = errors_of(capsys)
        assert len(lines) == 1
        assert word in lines[0]


def test_a_corrupt_npz_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(b"PK\x03\x04 not really a zip file")
    assert run(["data", "add", str(path)]) == 2
    lines = errors_of(capsys)
    assert len(lines) == 1
    assert "bad.npz" in lines[0]


def test_dry_run_reports_the_space_and_launches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "--dataset", "digits", "--max-params", "5000", "--dry-run", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert 0 < report["feasible_share"] < 1
    assert report["smallest"]["params"] < report["largest"]["params"]
    assert run(["study", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_dry_run_of_what_would_be_refused_ends_as_the_search_would(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["search", "--dataset", "digits", "--max-params", "10", "--json"]
    assert run([*arguments, "--dry-run"]) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out)["feasible_share"] == 0
    assert "params at most 10" in printed.err
    assert run(arguments) == 2


def test_a_soft_limit_bounds_the_front_and_rejects_nobody(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["search", "--dataset", "digits", "--max-params", "10", "--soft", "params", "--dry-run"]
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["feasible_share"], report["broken_share"]) == (1.0, {})
    assert report["soft_share"] == {"params": 1.0}
    assert run(["search", "--dataset", "digits", "--soft", "macs", "--dry-run"]) == 2
    assert "--soft macs needs --max-macs" in capsys.readouterr().err
    assert run(["search", "--dataset", "digits", "--soft", "model_bytes_int8", "--dry-run"]) == 2
    assert "needs a limit in the spec file" in capsys.readouterr().err
    for wrong in ("nosuch", "", "accuracy"):
        assert run(["search", "--dataset", "digits", "--soft", wrong, "--dry-run"]) == 2
        assert "latency_ms" in capsys.readouterr().err


def test_another_bound_keeps_what_else_a_limit_says(
    finished_study: int, settings: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))  # type: ignore[attr-defined]

    def after(limit: str) -> object:
        assert run(["study", "extend", str(finished_study), "--limit", limit]) == 0
        capsys.readouterr()
        assert run(["study", "show", str(finished_study), "--json"]) == 0
        return json.loads(capsys.readouterr().out)["spec"]["constraints"]["params"]

    limit = {"max": 9000.0, "min": None, "at": "median", "soft": True}
    assert after("params=9000:soft") == limit
    assert after("params=8000") == {**limit, "max": 8000.0}
    assert after("params=8000:hard") == {**limit, "max": 8000.0, "soft": False}
    assert run(["study", "extend", str(finished_study), "--limit", "params=8000:firm"]) == 2
    assert "params=30000:soft" in capsys.readouterr().err


def test_db_upgrade_may_be_repeated(home: Path) -> None:
    assert run(["db", "upgrade"]) == 0
    assert run(["db", "upgrade"]) == 0
    assert (home / "nas.db").exists()


def test_only_complete_feasible_trials_stand_in_the_printed_front(
    finished_study: int, settings: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))  # type: ignore[attr-defined]
    assert run(["study", "show", str(finished_study), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trials"]["infeasible"]
    assert result["trials"]["pruned"]
    assert result["trials"]["failed"]
    assert result["front"]
    for member in result["front"]:
        assert run(["trial", "show", str(finished_study), str(member["number"]), "--json"]) == 0
        trial = json.loads(capsys.readouterr().out)
        assert trial["state"] == "complete"
        assert all(violation <= 0 for violation in trial["violations"].values())
    assert run(["study", "front", str(finished_study), "-o", "csv"]) == 0
    printed = capsys.readouterr().out.strip().splitlines()
    assert len(printed) == 1 + len(result["front"])


def test_a_study_s_space_is_widened_from_a_file(
    tmp_path: Path, finished_study: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    path = tmp_path / "space.yaml"
    path.write_text("family: multi_scale\noverride: {depth: [1, 2, 3]}\n")
    assert run(["study", "widen", str(finished_study), str(path)]) == 0
    service = Service.open(settings)
    assert [version.version for version in service.spaces(finished_study)] == [1, 2]
    service.close()


def test_widening_says_what_is_wrong(
    tmp_path: Path,
    finished_study: int,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    path = tmp_path / "space.yaml"
    path.write_text("depht: 2\n")
    assert run(["study", "widen", str(finished_study), str(path)]) == 2
    assert "depth" in errors_of(capsys)[-1]
    assert run(["study", "widen", str(finished_study), str(tmp_path / "missing.yaml")]) == 3


def test_a_study_is_cloned_steered_and_watched(
    finished_study: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "changes.yaml").write_text("constraints: {params: {max: 9000}}\n")
    clone = [
        "study",
        "clone",
        str(finished_study),
        str(tmp_path / "changes.yaml"),
        "--name",
        "smaller",
        "--json",
    ]
    assert run(clone) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["spec"]["constraints"]["params"]["max"] == 9000
    assert set(printed["spec"]["constraints"]) == {"params", "latency_ms"}
    assert run(["study", "pause", "smaller", "-o", "csv"]) == 0
    assert "smaller,paused" in capsys.readouterr().out
    assert run(["study", "pause", "smaller"]) == 4
    assert run(["study", "watch", str(finished_study), "-o", "csv"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("number,accuracy")
    best = told.out.splitlines()[1].partition(",")[0]
    assert f"nas trial show {finished_study} {best} " in told.err


def test_no_table_is_printed_of_a_front_without_members(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    study = service.create_study(StudySpec(name="empty", dataset="digits")).study
    service.cancel(study)
    assert run(["study", "watch", str(study)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert f"study {study} cancelled" in told.err


def test_numbers_have_their_thousands_apart_and_identifiers_are_as_they_are_typed() -> None:
    assert [cell("params", value) for value in (999, 1536, 1536.0, 56_448, 12_345.6)] == [
        "999",
        "1,536",
        "1,536",
        "56,448",
        "12,346",
    ]
    assert (cell("number", 1536), cell("trials.complete", 1536)) == ("1536", "1,536")
    assert (cell("latency_ms", 1234.5), cell("latency_ms", 0.01265)) == ("1,234", "0.0126")


def test_a_study_of_a_shared_name_is_told_with_the_others(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    first, other, second = (
        service.create_study(StudySpec(name=name, dataset="digits")).study
        for name in ("twice", "twice over", "twice")
    )
    assert run(["study", "front", "twice"]) == 0
    line = f"study {second} is meant, the newest of 2 named 'twice'; the others: {first}\n"
    assert capsys.readouterr().err == line
    for alone in (str(first), "twice over", str(other)):
        assert run(["study", "front", alone]) == 0
        assert capsys.readouterr().err == ""


def test_a_confirmation_is_told_in_percent(capsys: pytest.CaptureFixture[str]) -> None:
    figures = Confirmed(runs=2, mean={"accuracy": 0.7876}, deviation={"accuracy": 0.0123}, optimism=-0.0307)
    member = ConfirmedMember(trial=9, number=4, searched=0.757, confirmed=figures, runs=[])
    view = ConfirmationView(
        study=1,
        quality="accuracy",
        epochs=3,
        data="train",
        runs_complete=2,
        runs_failed=0,
        runs=2,
        members=[member],
        optimism=-0.0307,
    )
    show_confirmation(view, Format.table)
    told = capsys.readouterr()
    for figure in ("75.70 %", "78.76 %", "1.23 %", "-3.07 %"):
        assert figure in told.out
    assert "3.07 percentage points too modest of accuracy" in told.err
    show_confirmation(view, Format.json)
    assert json.loads(capsys.readouterr().out)["optimism"] == -0.0307
