"""Every page once: accessible in both themes, no wider than the window, without complaints of the browser.

The pages are those that the dashboard's router has: a new one is visited without being named here.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi.routing import iter_route_contexts
from playwright.sync_api import BrowserContext, Locator, Page, expect

from nas_service.dashboard.routes import router
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.trials import Outcome

pytestmark = pytest.mark.browser

# Parts of pages, figures, scripts and pictures.
NO_PAGES = ("/fragments/", "/figures/", "/plotly-", "/favicon.ico")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# Only leads to another page, or shows nothing without its query.
NOT_ALONE = ("/studies/{study_id}/trials/{number}", "/compare")
# What a page needs to be told to show something, and other states that look different.
QUERIES = {
    "/studies/{study_id}": ["show=dominated,infeasible,pruned&x=params"],
    "/studies/new": ["clone=1"],
    "/describe": ["family=multi_scale"],
    "/compare": ["t=1&t=2"],
}
FULL, CONTRAST = {"resultTypes": ["violations"]}, {"runOnly": ["color-contrast"]}


def page_paths() -> Iterator[str]:
    for context in iter_route_contexts(router.routes):
        if "GET" in context.methods and not context.path_format.startswith(NO_PAGES):
            yield context.path_format


@pytest.fixture
def values(
    finished_study: int, mixed_search: Any, new_search: Callable[..., Any], service: Service
) -> dict[str, list[Any]]:
    """What stands in the place of a route's parameters; a name the tour does not know fails it."""
    new_search(name="nothing yet " + "with a very long name " * 6)
    states = ("complete", "infeasible", "failed")
    trials = [service.trials(mixed_search.study, state=state).items[0].id for state in states]  # type: ignore[arg-type]
    return {
        "study_id": [mixed_search.study, mixed_search.study + 1],
        "trial_id": trials,
        "number": [0],
        "/families/name": ["inception"],
        "/datasets/name": ["digits"],
    }


def addresses(values: dict[str, list[Any]]) -> Iterator[str]:
    for path in page_paths():
        names = [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")]
        keys = [name if name in values else f"{path.partition('{')[0]}{name}" for name in names]
        filled = [
            path.format(**dict(zip(names, chosen, strict=True)))
            # Each value's own page; what lies below it once.
            for chosen in product(*(values[key] if path.endswith("}") else values[key][:1] for key in keys))
        ]
        yield from filled if path not in NOT_ALONE else ()
        yield from (f"{filled[0]}?{query}" for query in QUERIES.get(path, ()))


def violations(page: Page, options: Any) -> list[str]:
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def excess(page: Page) -> int:
    sizes = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(sizes))


def test_every_page_is_accessible_fits_and_stays_quiet(
    page: Page, context: BrowserContext, values: dict[str, list[Any]], watch: Any
) -> None:
    visited, wrong = set(), []
    for address in addresses(values):
        answer = context.request.get(address)
        place = answer.url
        if place in visited or not answer.headers["content-type"].startswith("text/html"):
            continue
        visited.add(place)
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size(WIDE)
        page.goto(place)
        for plot in page.locator("[data-figure]").all():
            plot.and_(page.locator("[data-ready]")).wait_for(state="attached")
        if answer.status != 200:
            wrong.append(f"{address}: {answer.status}")
        wrong += [f"{address}: {said}" for said in violations(page, FULL)]
        wrong += [f"{address}: too wide by {over} at 1280" for over in [excess(page)] if over > 0]
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        page.set_viewport_size(NARROW)
        wrong += [f"{address}: dark: {said}" for said in violations(page, CONTRAST)]
        wrong += [f"{address}: too wide by {over} at 390" for over in [excess(page)] if over > 0]
        wrong += [f"{address}: {said}" for said in watch.complaints]
        watch.said.clear()
    assert not wrong, "\n".join(wrong)
    assert len(visited) >= len(set(page_paths())) - len(NOT_ALONE)


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus, which must be seen."""
    target.first.wait_for()
    for _ in range(150):
        page.keyboard.press("Tab")
        if target.first.evaluate("element => element === document.activeElement"):
            assert target.first.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
            return
    raise AssertionError(f"Tab never reaches {target}")


def test_the_way_from_a_launch_to_a_file_needs_no_mouse(
    page: Page, service: Service, ledger: SqlLedger, new_search: Callable[..., Any]
) -> None:
    search = new_search(name="by keyboard")
    lease = search.reserve()
    stored = ledger.put_artifact(b"{}")
    outcome = Outcome(
        report_id="r" * 32,
        state="complete",
        metrics={"accuracy": 0.9, "latency_ms": 0.1},
        artifacts={"architecture": stored},
    )
    ledger.complete(lease, outcome)
    page.goto("/studies")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    tab_to(page, page.get_by_role("link", name="New study"))
    page.keyboard.press("Enter")
    expect(page.locator("#preflight .share")).to_be_visible()
    tab_to(page, page.locator("#start"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{search.study + 1}")
    tab_to(page, page.get_by_role("navigation", name="Main").get_by_role("link", name="Studies"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="by keyboard"))
    page.keyboard.press("Enter")
    tab_to(page, page.locator(f"#front-{lease.trial_id}"))
    page.keyboard.press("Enter")
    expect(page.locator("#panel-title")).to_have_text("Trial #0")
    tab_to(page, page.locator("#panel").get_by_role("link", name="Open"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/trials/{lease.trial_id}")
    tab_to(page, page.locator("main a[download]"))
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.path().read_bytes() == b"{}"
