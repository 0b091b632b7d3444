"""Files that a whole study is taken away as."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from nas_service.errors import NotFound
from nas_service.service import Service
from nas_service.spec_file import read_spec
from nas_service.study_files import parts


def whole(service: Service, study: int, name: Any) -> bytes:
    return b"".join(parts(service, study, name))


def test_the_table_has_a_line_a_trial_and_no_formula(service: Service, finished_study: int) -> None:
    rows = list(csv.DictReader(io.StringIO(whole(service, finished_study, "trials.csv").decode())))
    trials = service.trials(finished_study, page_size=500).items
    assert [int(row["number"]) for row in rows] == [trial.number for trial in trials]
    assert [row["accuracy"] for row in rows] == [str(t.metrics.get("accuracy", "")) for t in trials]
    assert json.loads(rows[0]["params"]) == service.trial_by_number(finished_study, 0).params


def test_what_a_spreadsheet_would_run_is_quoted(
    service: Service, finished_study: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (batch,) = service.trial_batches(finished_study)
    evil = [batch[0].model_copy(update={"worker": "=cmd|' /C calc'!A0"})]
    monkeypatch.setattr(service, "trial_batches", lambda _: iter([evil]))
    (row,) = csv.DictReader(io.StringIO(whole(service, finished_study, "trials.csv").decode()))
    assert row["worker"] == "'=cmd|' /C calc'!A0"


class Outside(HTMLParser):
    """Collects what a page would run or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        outside = ("src", "href", "action", "srcset", "data")
        self.found += [f"{tag} {name}" for name, _ in attrs if name in outside or name.startswith("on")]


def test_the_report_is_one_file_that_fetches_and_runs_nothing(service: Service, finished_study: int) -> None:
    text = whole(service, finished_study, "report.html").decode()
    page = Outside()
    page.feed(text)
    assert page.found == []
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"url\(|@import", text)
    assert page.tags.count("table") == 1
    members = service.front(finished_study).front
    assert page.tags.count("tr") == len(members) + 1
    assert page.tags.count("svg") == 2 + min(8, len(members))
    assert "&lt;img src=x" in text
    assert "Latency at most 2 ms (median)" in text


def test_the_bundle_replays_a_study_and_is_the_same_each_time(service: Service, finished_study: int) -> None:
    content = whole(service, finished_study, "bundle.zip")
    assert content == whole(service, finished_study, "bundle.zip")
    archive = zipfile.ZipFile(io.BytesIO(content))
    study = service.study(finished_study)
    assert read_spec(archive.read("spec.yaml")) == study.spec
    assert json.loads(archive.read("study.json"))["dataset_sha256"] == study.dataset_sha256
    proposals = [json.loads(line) for line in archive.read("proposals.jsonl").splitlines()]
    assert [row["ordinal"] for row in proposals] == list(range(len(proposals)))
    trials = {row["id"]: row for row in map(json.loads, archive.read("trials.jsonl").splitlines())}
    assert len(trials) == len(proposals)
    curves = [json.loads(line) for line in archive.read("curves.jsonl").splitlines()]
    assert {row["trial_id"] for row in curves} <= set(trials)
    assert "spec.yaml" in archive.read("README.md").decode()


def test_a_study_without_trials_has_all_files(service: Service, new_study: Callable[[], int]) -> None:
    study = new_study()
    assert whole(service, study, "trials.csv").count(b"\n") == 1
    assert b"Nothing feasible was trained" in whole(service, study, "report.html")
    with pytest.raises(NotFound):
        parts(service, 99, "report.html")


@pytest.fixture
def new_study(service: Service) -> Callable[[], int]:
    return lambda: service.create_study(read_spec({"dataset": "digits"})).study
