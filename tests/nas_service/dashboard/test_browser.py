"""What a person does, in a real Chromium against a real server."""

import json
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from nas_service.plain_data import read_data
from nas_service.service import Service
from search_spaces import analyse, families, resolve_space
from search_spaces.families.pictures import typical

pytestmark = pytest.mark.browser

EVIL = '<img src=x onerror="window.pwned=1">'
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


def drawn(page: Page) -> None:
    """Wait until every plot shows its figure or says why it has none."""
    for plot in page.locator("[data-figure]").all():
        plot.and_(page.locator("[data-ready]")).wait_for(state="attached")


def front_points(page: Page) -> int:
    # The front is the last trace, so that nothing lies over it.
    return page.locator("#pareto .scatterlayer .trace").last.locator(".point").count()


def test_the_study_page_draws_the_front_of_the_api(page: Page, finished_study: int) -> None:
    page.goto(f"/studies/{finished_study}?show=dominated,infeasible,pruned")
    drawn(page)
    front = page.request.get(f"/api/v1/studies/{finished_study}/front").json()["front"]
    assert front_points(page) == len(front) > 1
    assert page.locator("#front tbody tr").count() == len(front)
    numbers = page.locator("#front tbody button").all_inner_texts()
    assert {int(number.removeprefix("#")) for number in numbers} == {member["number"] for member in front}


@pytest.mark.parametrize("axes", ["x=latency_ms&y=accuracy", "x=params&y=accuracy", "x=params&y=latency_ms"])
def test_what_is_infeasible_pruned_or_failed_is_never_on_the_front(
    page: Page, finished_study: int, service: Service, axes: str
) -> None:
    page.goto(f"/studies/{finished_study}?{axes}&show=dominated,infeasible,pruned")
    drawn(page)
    complete = {trial.number for trial in service.trials(finished_study, state="complete").items}
    walked = []
    page.locator("#pareto").focus()
    for _ in range(front_points(page)):
        page.keyboard.press("ArrowRight")
        expect(page.locator("#pareto .hoverlayer")).to_contain_text("on the front")
        walked.append(int(page.url.split("trial=")[1].split("&")[0]))
    assert walked
    assert set(walked) <= complete
    expect(page.locator("#panel .badge").first).not_to_contain_text("infeasible")


def test_a_point_shows_its_network(page: Page, mixed_search: Any) -> None:
    page.goto(f"/studies/{mixed_search.study}")
    drawn(page)
    expect(page.locator("#panel")).to_contain_text("97.00 %")
    page.locator("#front tbody button").last.click()
    expect(page.locator("#panel")).to_contain_text("90.00 %")
    expect(page.locator("#panel .diagram svg")).to_be_visible()
    assert "trial=0" in page.url
    page.reload()
    expect(page.locator("#panel")).to_contain_text("90.00 %")


def test_a_click_on_the_plot_chooses_the_point(page: Page, mixed_search: Any) -> None:
    page.goto(f"/studies/{mixed_search.study}")
    drawn(page)
    box = page.locator("#pareto .scatterlayer .trace").last.locator(".point").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#pareto .hoverlayer")).to_contain_text("on the front")
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#panel")).to_contain_text("90.00 %")


def test_the_arrow_keys_walk_along_the_front(page: Page, mixed_search: Any) -> None:
    page.goto(f"/studies/{mixed_search.study}?trial=0")
    drawn(page)
    page.locator("#pareto").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel")).to_contain_text("95.00 %")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel")).to_contain_text("97.00 %")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#panel")).to_contain_text("95.00 %")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/*")


def test_axes_can_be_changed_and_live_in_the_address(page: Page, mixed_search: Any) -> None:
    page.goto(f"/studies/{mixed_search.study}")
    drawn(page)
    page.get_by_label("Across").select_option("params")
    expect(page.locator("#pareto .xtitle")).to_have_text("Trainable parameters")
    assert "x=params" in page.url
    expect(page.locator("#pareto-caption")).to_contain_text("infeasible")
    page.get_by_label("Across").select_option("accuracy")
    expect(page.locator("#axes [name=y]")).to_have_value("params")


def test_nothing_offers_to_upload_a_figure(page: Page, mixed_search: Any) -> None:
    page.goto(f"/studies/{mixed_search.study}")
    drawn(page)
    titles = [button.get_attribute("data-title") or "" for button in page.locator(".modebar-btn").all()]
    assert titles
    assert not [title for title in titles if "share" in title.lower() or "cloud" in title.lower()]


def test_a_finished_trial_appears_without_reload(page: Page, mixed_search: Any) -> None:
    page.goto(f"/studies/{mixed_search.study}")
    drawn(page)
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.evaluate("document.body.dataset.kept = 'yes'")
    mixed_search.end("complete", 0.985, 3.0)
    expect(page.locator("#front tbody tr")).to_have_count(4)
    expect(page.locator("#front")).to_contain_text("98.50 %")
    expect(page.locator("#pareto-caption")).to_contain_text("4 on the front")
    assert front_points(page) == 4
    expect(page.locator("body")).to_have_attribute("data-kept", "yes")


def test_the_first_network_of_a_front_is_shown_without_reload(page: Page, new_search: Any) -> None:
    search = new_search()
    page.goto(f"/studies/{search.study}")
    drawn(page)
    expect(page.locator("#panel")).to_contain_text("No point to show yet")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    search.end("complete", 0.985, 3.0)
    expect(page.locator("#panel")).to_contain_text("98.50 %")
    expect(page.locator("#panel .diagram svg")).to_be_visible()


def test_a_zoom_into_a_logarithmic_axis_gets_ticks_of_its_own(page: Page, new_search: Any) -> None:
    search = new_search()
    for accuracy, latency_ms in ((0.9, 0.1), (0.95, 1.0), (0.97, 3.0)):
        search.end("complete", accuracy, latency_ms)
    page.goto(f"/studies/{search.study}?x=latency_ms&y=accuracy")
    drawn(page)
    ticks = page.locator("#pareto .xtick text")
    expect(ticks).to_have_text(["0.1", "0.2", "0.5", "1", "2"])
    area = page.locator("#pareto .nsewdrag").first.bounding_box()
    assert area
    page.mouse.move(area["x"] + area["width"] * 0.48, area["y"] + 40)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.56, area["y"] + area["height"] - 40, steps=5)
    page.mouse.up()
    # 1, 2 and 5 of each decade would leave none.
    expect(ticks.filter(has_text="0.7").first).to_be_visible()


@pytest.mark.parametrize("family", families.names())
def test_the_layers_of_a_network_fit_their_card(page: Page, service: Service, family: str) -> None:
    page.goto(f"/describe?family={family}")
    region = page.get_by_role("region", name="Table of layers")
    assert region.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_seven_tabs_share_one_stream(context: BrowserContext, mixed_search: Any) -> None:
    # A browser opens six connections to a server at most; only one tab has plots, which take long to load.
    pages = [context.new_page() for _ in range(7)]
    for page in pages[:-1]:
        page.goto("/studies")
    pages[-1].goto(f"/studies/{mixed_search.study}")
    for page in pages:
        page.bring_to_front()
        expect(page.locator("#live")).to_have_attribute("data-state", "live")


def test_trials_are_filtered_and_paged_in_place(page: Page, mixed_search: Any) -> None:
    page.goto(f"/studies/{mixed_search.study}/trials")
    page.locator("#trials-next").click()
    expect(page.locator("#trials-first")).to_be_visible()
    page.locator("#trials-pruned").click()
    expect(page.locator("#trials tbody tr")).to_have_count(2)
    assert "state=pruned" in page.url
    page.reload()
    expect(page.locator("#trials tbody tr")).to_have_count(2)


def test_a_study_is_paused_resumed_and_cancelled(page: Page, mixed_search: Any, service: Service) -> None:
    page.goto(f"/studies/{mixed_search.study}")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#status .state").first).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#status .state").first).to_have_text("running")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Keep it").click()
    assert service.study(mixed_search.study).state == "running"
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator("#status .state").first).to_have_text("cancelled")


def test_a_pasted_architecture_is_described_by_keyboard_alone(
    page: Page, watch: Any, service: Service
) -> None:
    watch.forgiven.append("status of 422")
    member = typical("two_conv_block")
    page.goto("/describe")
    page.get_by_label("Architecture").focus()
    page.keyboard.insert_text(json.dumps({**member.to_dict(), "clases": 3}))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="clases")).to_contain_text("did you mean 'classes'")
    expect(page.get_by_label("Architecture")).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(json.dumps(member.to_dict()))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    rows = page.get_by_role("region", name="Table of layers").locator("tbody tr")
    expect(rows).to_have_count(len(analyse(member).layers))
    expect(page.locator("main .diagram svg")).to_be_visible()
    expect(page.locator("main")).to_contain_text(member.hash)


def test_a_family_is_copied_as_yaml(page: Page, context: BrowserContext, address: str) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page.goto("/families/inception")
    page.get_by_role("button", name="Copy as YAML").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert resolve_space(read_data(copied)) == families.get("inception").space


def test_a_data_set_is_uploaded_and_a_bad_one_refused(
    page: Page, watch: Any, service: Service, tmp_path: Any
) -> None:
    watch.forgiven.append("status of 422")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"not an archive")
    page.goto("/datasets")
    page.get_by_label("File").set_input_files(str(broken))
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#file-wrong")).not_to_be_empty()
    good = tmp_path / "shapes.npz"
    rng = np.random.default_rng(0)
    np.savez(good, x=rng.integers(0, 255, (60, 8, 8), dtype=np.uint8), y=np.arange(60) % 3)
    page.get_by_label("File").set_input_files(str(good))
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#datasets tbody")).to_contain_text("shapes")
    assert service.dataset("shapes").classes == 3
    page.get_by_role("link", name="shapes", exact=True).click()
    expect(page.locator(".pictures img")).to_have_count(24)
    assert page.locator(".pictures img").first.evaluate("image => image.naturalWidth") == 8
    # The button is a script's.
    page.wait_for_load_state()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/datasets")
    assert [dataset.name for dataset in service.datasets()] == ["digits"]


def test_a_server_that_is_away_is_told(
    page: Page, watch: Any, mixed_search: Any, context: BrowserContext
) -> None:
    watch.forgiven.append("ERR_INTERNET_DISCONNECTED")
    page.goto(f"/studies/{mixed_search.study}")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#away")).to_be_visible()
    expect(page.locator("#front tbody tr")).to_have_count(3)


def test_the_theme_is_remembered(page: Page, service: Service) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/studies")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/families")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
