"""Logging in with a browser: what a session may, and what it is told where it may not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from nas_service.access import Role, TokenCreate
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings

pytestmark = pytest.mark.browser
LogIn = Callable[[Role], None]


@pytest.fixture
def address(service: Service, settings: Settings) -> Iterator[str]:
    with serving(settings.model_copy(update={"port": 0, "behind_proxy": True})) as address:
        yield address


@pytest.fixture
def log_in(page: Page, service: Service) -> LogIn:
    """Return what logs in with a new token of a role, on the way to the studies."""

    def fill_in(role: Role) -> None:
        token = service.create_token(TokenCreate(name="ada", role=role)).token
        page.goto("/studies")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/studies")

    return fill_in


def test_an_operator_s_session_changes_things(
    page: Page, log_in: LogIn, mixed_search: Any, service: Service, tmp_path: Path
) -> None:
    log_in(Role.operator)
    expect(page.locator(".who")).to_contain_text("ada operator")
    page.goto(f"/studies/{mixed_search.study}")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#status .state").first).to_have_text("paused")
    page.goto("/studies/new")
    expect(page.locator("#preflight .share")).to_be_visible()
    page.get_by_role("button", name="Launch study").click()
    page.wait_for_url("**/studies/2")
    page.goto("/describe?family=two_conv")
    page.get_by_role("button", name="Describe").click()
    expect(page.locator("table").first).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.goto("/studies")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_viewer_s_session_looks_and_is_told_why_it_changes_nothing(
    page: Page, log_in: LogIn, mixed_search: Any, watch: Any, service: Service, tmp_path: Path
) -> None:
    watch.forgiven.append("status of 403")
    log_in(Role.viewer)
    page.goto(f"/studies/{mixed_search.study}")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#said")).to_contain_text("this needs the role operator")
    assert service.study(mixed_search.study).state == "running"
    page.goto("/studies/new")
    expect(page.locator("#form-wrong")).to_contain_text("this needs the role operator")
    file = tmp_path / "some.npz"
    file.write_bytes(b"bytes")
    page.goto("/datasets")
    page.get_by_label("File").set_input_files(str(file))
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#file-wrong")).to_contain_text("this needs the role operator")


def test_the_login_page_of_a_closed_server_says_that_a_token_is_needed(page: Page, service: Service) -> None:
    page.goto("/studies")
    expect(page.get_by_text("This server asks for a token.")).to_be_visible()
    expect(page.get_by_role("link")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_header_of_who_is_logged_in_fits_and_is_accessible(page: Page, log_in: LogIn, width: int) -> None:
    log_in(Role.admin)
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [violation["id"] for violation in found] == []
