"""The pages of one study beside its front, in a real Chromium and as a client without one sees them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from httpx import Client
from playwright.sync_api import Page, expect

from nas_service.dashboard.study_log import entry
from nas_service.service import Service
from nas_service.studies import Constraint, StudyChange
from nas_service.trials import Proposal
from nas_service.views import EventView

LEVELS = '{"name": "CategoricalDistribution", "attributes": {"choices": [8, 16, 32]}}'
RATE = '{"name": "FloatDistribution", "attributes": {"low": 0, "high": 1, "log": false, "step": null}}'


@pytest.fixture
def searched(new_search: Callable[..., Any], make_proposal: Callable[..., Proposal]) -> Any:
    """A study of fifteen trained trials whose accuracy follows from the parameter `width` alone."""
    search = new_search(constraints={})
    proposals = (make_proposal(seed) for seed in range(1, 200))
    for number in range(15):
        width = (8, 16, 32)[number % 3]
        params = {"width": width, "rate": number * 7 % 15 / 15}
        changes = {"params": params, "distributions": {"width": LEVELS, "rate": RATE}}
        search._proposals = iter([next(proposals).model_copy(update=changes)])
        search.end("complete", 0.9 + 0.001 * width + 0.0001 * number, 1.0 + 0.1 * number)
    return search


def drawn(page: Page) -> None:
    for plot in page.locator("[data-figure]").all():
        plot.and_(page.locator("[data-ready]")).wait_for(state="attached")


def looked_at(page: Page) -> None:
    """Fail on a serious violation of accessibility, or where the page is wider than the screen."""
    found = Axe().run(page).response["violations"]
    serious = [v["id"] + v["nodes"][0]["html"][:160] for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.browser
def test_the_analysis_finds_what_matters_and_bounds_narrow_it_by_keyboard(page: Page, searched: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/studies/{searched.study}/analysis")
    drawn(page)
    expect(page.locator("#facts")).to_contain_text("45 epochs")
    looked_at(page)
    expect(page.locator("#importance .yaxislayer-above text").last).to_have_text("width")
    page.get_by_text("Bounds", exact=True).click()
    page.get_by_label("width", exact=True).select_option("32")
    expect(page.locator("#parallel-caption")).to_contain_text("5 of 15 networks")
    page.get_by_label("Latency at most").fill("1.6")
    page.keyboard.press("Tab")
    expect(page.locator("#parallel-caption")).to_contain_text("2 of 15 networks")
    page.reload()
    expect(page.locator("#within tbody tr")).to_have_count(2)
    page.locator("#within tbody a").first.click()
    page.wait_for_url("**/trials/*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Trial #5")


@pytest.mark.browser
def test_ticked_trials_outlive_filter_and_page_and_lead_to_their_curves(
    page: Page, mixed_search: Any
) -> None:
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.goto(f"/studies/{mixed_search.study}/trials")
    page.get_by_label("Filter", exact=True).fill("accuracy > 94 %, state = complete")
    page.keyboard.press("Enter")
    expect(page.locator("#trials tbody tr")).to_have_count(2)
    page.locator("#trials-by-accuracy").click()
    # The arrow comes with the answer; the first row is the same in either order.
    expect(page.locator("#trials-by-accuracy")).to_contain_text("↓")
    expect(page.locator("#trials tbody td.number").first).to_have_text("97.00 %")
    page.get_by_label("Choose trial 2", exact=True).check()
    page.locator("#trials-all").click()
    page.get_by_label("Filter", exact=True).fill("")
    page.get_by_role("button", name="Apply").click()
    page.get_by_label("Choose trial 0", exact=True).check()
    expect(page.locator("#compare")).to_have_text("Compare 2")
    assert (page.locator("#compare").get_attribute("href") or "").endswith("/compare?t=3&t=1")
    looked_at(page)
    page.get_by_label("Filter", exact=True).fill("acuracy > 1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("'acuracy' is unknown")
    page.locator("#curves").click()
    drawn(page)
    expect(page.locator("#curves-plot .legendtext")).to_have_text(["#2", "#0"])
    for title, kind in (("a PNG", "png"), ("an SVG", "svg")):
        with page.expect_download() as saved:
            page.locator(f"#curves-plot [data-title='Download plot as {title}']").dispatch_event("click")
        assert saved.value.suggested_filename.endswith(f"curves.{kind}")


@pytest.mark.browser
def test_settings_are_changed_and_a_study_is_deleted_by_its_name(
    page: Page, watch: Any, mixed_search: Any, service: Service
) -> None:
    watch.forgiven.append("status of 422")
    page.goto(f"/studies/{mixed_search.study}/settings")
    page.get_by_label("Networks to train").fill("0")
    page.locator("#change").evaluate("form => { form.noValidate = true; }")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#change-wrong")).to_contain_text("budget.trials")
    page.get_by_label("Networks to train").fill("500")
    page.get_by_label("Trainable parameters at most").fill("")
    page.get_by_label("Latency at most").fill("1.5")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".tile.main small")).to_have_text("of 500")
    spec = service.study(mixed_search.study).spec
    assert spec.constraints == {"latency_ms": Constraint(max=1.5, at="p90")}
    service.cancel(mixed_search.study)
    page.reload()
    button = page.get_by_role("button", name="Delete for good")
    expect(button).to_be_disabled()
    page.get_by_label("Type its name to delete it").fill("digits under 20,000")
    looked_at(page)
    button.click()
    page.wait_for_url("**/studies")
    assert service.studies().items == []


def test_pages_without_trials_say_what_will_be_there(address: str, new_search: Callable[..., Any]) -> None:
    study = new_search().study
    with Client(base_url=address, trust_env=False) as client:
        for tab in ("trials", "curves", "analysis", "log", "settings"):
            assert client.get(f"/studies/{study}/{tab}").status_code == 200
        figures = f"/figures/studies/{study}"
        assert "first point of the front" in client.get(f"{figures}/growth.json").json()["message"]
        assert "Needs 10" in client.get(f"{figures}/importance.json").json()["message"]
        assert "first fully trained" in client.get(f"{figures}/parallel.json").json()["message"]
        assert "first trial" in client.get(f"{figures}/timeline.json").json()["message"]
        assert "Choose trials" in client.get(f"{figures}/curves.json").json()["message"]


def test_axes_of_a_single_network_stay_within_what_is_possible(address: str, new_search: Any) -> None:
    search = new_search()
    search.end("complete", 0.96, 1.0)
    with Client(base_url=address, trust_env=False) as client:
        axes = client.get(f"/figures/studies/{search.study}/parallel.json").json()["axes"]
    low, high = next(axis["range"] for axis in axes if axis["name"] == "accuracy")
    assert 0.9 < low < 0.96 < high < 1.0


@pytest.mark.browser
def test_what_matters_says_once_what_it_waits_for(page: Page, new_search: Any) -> None:
    search = new_search()
    search.end("complete", 0.96, 1.0)
    page.goto(f"/studies/{search.study}/analysis")
    drawn(page)
    expect(page.locator(".what-matters .message:visible")).to_have_text(
        ["Needs 10 fully trained networks with accuracy; there is 1."]
    )


def test_curves_of_unknown_trials_are_told(address: str, mixed_search: Any, service: Service) -> None:
    with Client(base_url=address, trust_env=False) as client:
        page = client.get(f"/studies/{mixed_search.study}/curves?trials=0 99").text
        assert "Not drawn: #99" in page
        figure = client.get(f"/figures/studies/{mixed_search.study}/curves.json?trials=0 99").json()
        unknown = client.get(f"/studies/{mixed_search.study}/curves?trials=99").text
        address = re.search(r'data-figure="([^"]*curves[^"]*)"', unknown)
        assert address
        none = client.get(address[1].replace("&amp;", "&")).json()
    assert [trace["name"] for trace in figure["figure"]["data"]] == ["#0"]
    assert none["figure"]["data"] == []


def refreshed(address: str, path: str) -> str:
    with Client(base_url=address, trust_env=False) as client:
        return client.get(path.replace("&amp;", "&")).text


def test_the_log_is_paged_by_kind_and_says_what_happened(address: str, mixed_search: Any) -> None:
    study = mixed_search.study
    mixed_search.service.pause(study)
    with Client(base_url=address, trust_env=False) as client:
        newest = client.get(f"/studies/{study}/log").text
        about_it = client.get(f"/fragments/studies/{study}/log?kind=study").text
        older = client.get(f"/studies/{study}/log?kind=main&page_token=nonsense")
        token = re.search(r"page_token=([\w-]+)", newest)
        assert token
        second = client.get(f"/studies/{study}/log?page_token={token[1]}").text
        spans = client.get(f"/figures/studies/{study}/timeline.json").json()["figure"]["data"]
    assert "The study is paused" in newest
    assert "breaks a limit" in newest
    assert "Older" in newest
    first = re.search(r'data-live="(/fragments/studies/[0-9]+/log[^"]*)"', newest)
    assert first
    assert "Newest" not in refreshed(address, first[1])
    # What refreshes the list asks for the page that is looked at.
    assert f'/log?kind=main&amp;page_token={token[1]}"' in second
    assert about_it.count("<li>") == 2
    assert older.status_code == 422
    assert {trace["name"]: len(trace["y"]) for trace in spans} == {
        "complete": 5,
        "pruned": 2,
        "infeasible": 2,
        "failed": 2,
    }


def test_a_kind_of_event_that_is_not_known_keeps_its_name() -> None:
    event = EventView(sequence=1, study_id=1, kind="study.dreamt", at=datetime.now(UTC), data={"of": "x"})
    assert entry(event).words == "Study dreamt of x"


def test_the_log_calls_the_trial_of_a_job_by_its_number(service: Service, mixed_search: Any) -> None:
    trial = service.trials(mixed_search.study, state="complete").items[0]
    service.create_job("export", study_id=mixed_search.study, trial_id=trial.id)
    (created,) = service.study_log(mixed_search.study, ["job.created"]).items
    told = entry(created)
    assert told.words.endswith(f"export of trial #{trial.number}, is waiting")
    assert told.mark == "waiting"


def test_the_log_says_what_was_changed(service: Service, mixed_search: Any) -> None:
    limits = {"params": {"max": 9000}, "latency_ms": None}
    for change in ({"constraints": limits}, {"budget": {"trials": 70, "minutes": 5}}):
        service.change_study(mixed_search.study, StudyChange.model_validate(change))
    budget, limits_now = service.study_log(mixed_search.study, ["study.changed"]).items
    assert entry(limits_now).words.startswith("Limits are now: Trainable parameters at most 9,000; ")
    assert entry(budget).words.endswith("its budget is 70 trials, 5 minutes")
