"""The launch form: inputs, YAML, command and curl are views of one spec, and nothing of it is ever lost."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import typer
from httpx import Client
from playwright.sync_api import Page, expect
from sqlalchemy import update

from nas_service.cli.main import app
from nas_service.dashboard.launch_form import spec_of
from nas_service.dashboard.routes import STATIC
from nas_service.dashboard.spec_fields import spec_groups
from nas_service.plain_data import read_data
from nas_service.service import Service
from nas_service.spec_file import read_spec
from nas_service.store.engine import writing
from nas_service.store.models import TrialRow
from nas_service.studies import Budget, Constraint, StudySpec
from search_spaces import RandomTrial, resolve_space

# Every kind of field, in a form that the inputs do not write themselves.
PASTED = """
# Pasted by a person.
name: pasted
dataset: digits
space:
  family: multi_scale
  override: {depth: [2], stage: {branch: {kernel: [3, 5]}}, stage2: null}
objectives: [{metric: accuracy, goal: max}, {metric: f1_macro}, {metric: params}]
constraints: {accuracy: {min: 0.5}, latency_ms: {max: 4, at: p99}, params: {max: 30000, min: 100}}
search: {seed: 3, max_infeasible_in_a_row: 40}
training: {epochs: 5, recipe: {learning_rate: 0.05, augmentation: {crop_padding: 1}, deterministic: true}}
budget: {trials: null, minutes: 2.5}
"""


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(base_url=address, trust_env=False) as client:
        yield client


def spec_on(page: Page) -> dict[str, Any]:
    return read_data(page.locator("#as-yaml").input_value())


@pytest.mark.browser
def test_form_and_yaml_follow_each_other_and_launch_the_same(
    page: Page, watch: Any, service: Service
) -> None:
    watch.forgiven.append("status of 422")
    page.goto("/studies/new")
    epochs = page.locator("[id='training.epochs']")
    expect(page.locator("#preflight .share")).to_be_visible()
    # The form writes the YAML, and pressing a hint sets a limit.
    page.get_by_label("Name", exact=True).fill("from the form")
    page.get_by_label("Latency (ms)", exact=True).fill("2")
    page.get_by_label("Statistic of the latency").select_option("p90")
    page.get_by_label("Parameters", exact=True).fill("20000")
    epochs.fill("0")
    expect(page.locator('[data-wrong="training.epochs"]')).not_to_be_empty()
    page.get_by_role("button", name="Launch study").click()
    expect(page.locator("#launch-said")).to_have_text("Not launched.")
    expect(epochs).to_be_focused()
    epochs.fill("3")
    expect(page.locator("#preflight")).to_contain_text("networks keep every limit")
    expect(page.locator('[data-wrong="training.epochs"]')).to_be_empty()
    page.locator("#preflight .chip").last.click()
    limit = float(page.get_by_label("Parameters", exact=True).input_value())
    assert limit > 20_000
    page.locator("#ranges summary").click()
    page.get_by_role("group", name="depth").get_by_label("4").uncheck()
    expect(page.locator("#as-yaml")).to_have_value(re.compile(r"depth: \[2, 3\]"))
    assert spec_on(page) == {
        "name": "from the form",
        "dataset": "digits",
        "space": {"family": "multi_scale", "override": {"depth": [2, 3]}},
        "constraints": {"latency_ms": {"max": 2, "at": "p90"}, "params": {"max": limit}},
        "training": {"epochs": 3},
    }
    # What cannot be read is told and never launched.
    page.locator("#as-yaml").fill("name: [")
    page.get_by_role("button", name="Launch study").click()
    expect(page.locator("#yaml-wrong")).not_to_be_empty()
    expect(page.locator("#launch-said")).to_contain_text("cannot be read")
    # It is not written over by the form, as long as it is there.
    page.get_by_label("Seed", exact=True).fill("5")
    expect(page.locator("#as-yaml")).to_have_value("name: [")
    # Pasted YAML fills the form, and a change in the form keeps the rest of it.
    page.locator("#as-yaml").fill(PASTED)
    expect(page.get_by_label("Minutes at most")).to_have_value("2.5")
    expect(page.get_by_label("Networks to train")).to_have_value("")
    expect(page.get_by_role("group", name="stage.branch.kernel").get_by_label("7")).not_to_be_checked()
    expect(page.locator("[id='training.recipe.deterministic']")).to_be_checked()
    page.get_by_label("Seed", exact=True).fill("4")
    changed = read_data(PASTED)
    changed["search"]["seed"] = 4
    assert spec_on(page) == changed
    page.get_by_role("button", name="Launch study").click()
    page.wait_for_url("**/studies/1")
    assert service.study(1).spec == read_spec(changed)
    assert [study.name for study in service.studies().items] == ["pasted"]


@pytest.mark.browser
def test_a_clone_keeps_what_the_form_does_not_show(
    page: Page, service: Service, new_search: Callable[..., Any]
) -> None:
    spec = read_spec(PASTED)
    search = new_search(**{name: getattr(spec, name) for name in StudySpec.model_fields if name != "name"})
    page.goto(f"/studies/new?clone={search.study}")
    page.get_by_role("button", name="Launch study").click()
    page.wait_for_url(f"**/studies/{search.study + 1}")
    first, second = service.study(search.study).spec, service.study(search.study + 1).spec
    assert second == first.model_copy(update={"name": f"{first.name} again"})


def test_a_spec_is_shown_without_what_is_at_its_default() -> None:
    spec = StudySpec(dataset="digits", constraints={"params": Constraint(max=5)})
    given = spec_of(spec, "again")
    assert given == {
        "name": "again",
        "dataset": "digits",
        "constraints": {"params": {"max": 5.0}},
        "objectives": [{"metric": "accuracy"}, {"metric": "latency_ms"}],
    }
    assert read_spec(spec_of(read_spec(PASTED), "pasted")) == read_spec(PASTED)


def test_every_field_of_a_spec_has_an_input(client: Client) -> None:
    page = client.get("/studies/new").text
    paths = [field.path for group in spec_groups() for field in group.fields]
    assert {"search.sampler", "training.recipe.augmentation.cutout", "budget.minutes"} <= set(paths)
    for path in [*paths, "name", "dataset", "device"]:
        assert page.count(f'data-path="{path}"') == 1, path


def test_a_search_around_a_trial_starts_from_its_study_with_a_narrower_space(
    client: Client, service: Service, finished_study: int
) -> None:
    space, params = resolve_space("multi_scale"), {}

    class Noting(RandomTrial):
        def suggest_categorical(self, name: str, choices: Any) -> Any:
            params[name] = super().suggest_categorical(name, choices)
            return params[name]

    space.sample(Noting(1), (1, 8, 8), 10)
    trial = service.trials(finished_study, state="complete").items[0]
    with writing(service.engine) as connection:
        connection.execute(update(TrialRow).where(TrialRow.id == trial.id).values(params=params))
    page = unescape(client.get(f"/studies/new?around={trial.id}").text)
    assert f"New study around trial #{trial.number}" in page
    given = read_data(page.split('data-given="')[1].split('">')[0])
    narrowed = resolve_space(read_spec(given).space)
    assert narrowed.size() < space.size()
    assert given["constraints"] == {"params": {"max": 30000.0}, "latency_ms": {"max": 2.0}}
    with writing(service.engine) as connection:
        connection.execute(update(TrialRow).where(TrialRow.id == trial.id).values(params={}))
    assert client.get(f"/studies/new?around={trial.id}").status_code == 409
    assert client.get("/studies/new?around=9999").status_code == 404


def test_a_text_is_read_by_the_rules_of_a_launch(client: Client) -> None:
    def read(text: str) -> Any:
        return client.post("/studies/new/read", content=text, headers={"Content-Type": "application/yaml"})

    assert read("a: {b: [1, x]}").json() == {"a": {"b": [1, "x"]}}
    for bad in ("a: &x 1\nb: *x", "- 1", "a: .nan", "a: ["):
        answer = read(bad)
        assert answer.status_code == 422, bad
        assert answer.json()["errors"], bad


@pytest.mark.browser
def test_an_error_of_a_bound_is_said_once(page: Page, watch: Any) -> None:
    watch.forgiven.append("422")
    page.goto("/studies/new")
    page.get_by_label("Networks to train").fill("-4")
    expect(page.locator('[id="wrong-budget.trials"]')).to_have_text("must be at least 1, not -4")
    expect(page.locator('[id="hint-budget.trials"] .bounds-of')).to_be_hidden()
    page.get_by_label("Networks to train").fill("4")
    expect(page.locator('[id="hint-budget.trials"] .bounds-of')).to_be_visible()


@pytest.mark.browser
def test_the_command_trains_as_many_as_the_spec(page: Page) -> None:
    page.goto("/studies/new")
    budgets = [{"minutes": 5}, {"minutes": 5, "trials": None}, {}]
    commands = page.evaluate(
        """async (budgets) => {
          const { commandOf } = await import("/static/spec.js");
          return budgets.map((budget) => commandOf({ dataset: "digits", budget }));
        }""",
        budgets,
    )
    assert commands == [
        f"nas search --dataset digits --trials {Budget().trials} --minutes 5",
        "nas search --dataset digits --minutes 5",
        "nas search --dataset digits",
    ]


def test_the_command_line_names_flags_that_exist() -> None:
    flags = set(re.findall(r'"(--[a-z-]+)"', Path(STATIC / "spec.js").read_text()))
    command = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]
    known = {name for parameter in command.params for name in parameter.opts}
    assert len(flags) > 10
    assert flags <= known
