"""The study page in a headless Chromium: how soon it is usable, how smoothly it follows."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions "
    "--disable-features=PreloadTopChromeWebUI,SpareRendererForSitePerProcess"
)
PATIENCE_MS = 60_000
# Notes the longest time between two frames since `nasLongest` was last set to 0.
FRAMES = """
window.nasLongest = 0;
let before = performance.now();
const look = (now) => {
  window.nasLongest = Math.max(window.nasLongest, now - before);
  before = now;
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
# Notes when the page became usable, by its own clock, which runs from the navigation: while plotly.js is read
# the page answers nobody from outside. And the longest time for which it answered nobody.
USABLE = """
window.nasBusy = 0;
const needed = ['#live[data-state=live]', '#front tbody tr', '#pareto .still, #pareto[data-ready]'];
const note = () => {
  if (needed.every((part) => document.querySelector(part))) window.nasUsable ??= performance.now();
};
document.addEventListener('DOMContentLoaded', () => {
  new MutationObserver(note).observe(document.getElementById('live'), { attributeFilter: ['data-state'] });
});
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.nasBusy = Math.max(window.nasBusy, task.duration);
}).observe({ entryTypes: ['longtask'] });
"""
# When the browser first painted something, and the bytes that it waits for: the page and its style sheets.
PAINT = """() => {
  const paint_ms = performance.getEntriesByName('first-contentful-paint')[0].startTime;
  const sheets = performance.getEntriesByType('resource').filter((entry) => entry.name.includes('.css'));
  const waited = [...performance.getEntriesByType('navigation'), ...sheets];
  return { paint_ms, bytes: waited.reduce((sum, entry) => sum + entry.transferSize, 0) };
}"""
# Trained trials as the page shows them.
TRAINED = """() => {
  const shown = document.querySelector('.tile.main dd').firstChild.textContent;
  return Number(shown.replaceAll(',', ''));
}"""
# Waits frame by frame until more are shown than `before`. The page's policy forbids Playwright's own way of
# waiting for a function, which evaluates text in the page again and again.
MORE_TRAINED = f"""before => new Promise((resolve) => {{
  const trained = {TRAINED};
  const look = () => (trained() > before ? resolve() : requestAnimationFrame(look));
  look();
}})"""


def measure_page(
    address: str, token: str, study: int, finish_one: Callable[[], None], *, loads: int, updates: int
) -> dict[str, Any]:
    """Return times of the study page in milliseconds.

    The front is seen as soon as the picture of it that comes with the page is there. Usable means that this
    picture and the table of the front stand, that the page's scripts run, so that forms, limits and the
    choice of networks answer, and that its connection is live. The plot is there once plotly.js has been read
    and has drawn it in the picture's place: from then on points can be pointed at. Busy is the longest time
    for which the page answers nobody meanwhile. Paint is the browser's first contentful one,
    with the bytes that it waits for. An update runs from when a trial's end is in the database until
    the page shows it. Frames are those of such updates.

    Args:
        address: The server's.
        token: Its token.
        study: Whose page.
        finish_one: Ends one trial of the study.
        loads: How often to load the page, each time in a new profile.
        updates: How many updates to wait for.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        try:
            found = [_load(browser, address, token, study) for _ in range(loads)]
            delays, frames = _follow(browser, address, token, study, finish_one, updates)
        finally:
            browser.close()
    usable, plotted = ([load[name] for load in found] for name in ("usable_s", "plot_s"))
    return {
        "html_bytes": round(found[0]["html_bytes"]),
        "bytes_to_paint": round(max(load["bytes"] for load in found)),
        "paint_ms_median": round(median(load["paint_ms"] for load in found), 1),
        "paint_ms_worst": round(max(load["paint_ms"] for load in found), 1),
        "front_ms_median": round(1000 * median(load["front_s"] for load in found), 1),
        "front_ms_worst": round(1000 * max(load["front_s"] for load in found), 1),
        "usable_ms_first": round(1000 * usable[0], 1),
        "usable_ms_median": round(1000 * median(usable), 1),
        "usable_ms_worst": round(1000 * max(usable), 1),
        "busy_ms_worst": round(max(load["busy_ms"] for load in found), 1),
        "plot_ms_median": round(1000 * median(plotted), 1),
        "plot_ms_worst": round(1000 * max(plotted), 1),
        "update_ms_median": round(1000 * median(delays), 1),
        "update_ms_worst": round(1000 * max(delays), 1),
        "longest_frame_ms": round(max(frames), 1),
        "loads": loads,
        "updates": updates,
    }


def _load(browser: Browser, address: str, token: str, study: int) -> dict[str, float]:
    page = _page(browser, token)
    begun = time.perf_counter()
    answer = page.goto(f"{address}/studies/{study}", wait_until="commit")
    page.locator("#pareto .still, #pareto[data-ready]").first.wait_for(state="attached")
    front_s = time.perf_counter() - begun
    _until_usable(page)
    _until_plotted(page)
    found = {"front_s": front_s, "plot_s": time.perf_counter() - begun}
    usable_ms, found["busy_ms"] = page.evaluate("() => [window.nasUsable, window.nasBusy]")
    found["usable_s"] = usable_ms / 1000
    assert answer is not None
    found |= {"html_bytes": float(len(answer.body())), **page.evaluate(PAINT)}
    page.context.close()
    return found


def _follow(
    browser: Browser, address: str, token: str, study: int, finish_one: Callable[[], None], updates: int
) -> tuple[list[float], list[float]]:
    page = _page(browser, token)
    page.goto(f"{address}/studies/{study}", wait_until="commit")
    _until_usable(page)
    _until_plotted(page)
    delays, frames = [], []
    for _ in range(updates):
        # Until the refresh before is over.
        page.wait_for_timeout(1500)
        shown = page.evaluate(TRAINED)
        page.evaluate("() => { window.nasLongest = 0; }")
        finish_one()
        begun = time.perf_counter()
        page.evaluate(MORE_TRAINED, shown)
        delays.append(time.perf_counter() - begun)
        page.wait_for_timeout(1000)
        frames.append(page.evaluate("() => window.nasLongest"))
    page.context.close()
    return delays, frames


def _page(browser: Browser, token: str) -> Page:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, extra_http_headers={"Authorization": f"Bearer {token}"}
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(FRAMES + USABLE)
    return context.new_page()


def _until_usable(page: Page) -> None:
    page.locator("#live[data-state=live]").wait_for(state="attached")
    page.locator("#front tbody tr").first.wait_for(state="attached")


def _until_plotted(page: Page) -> None:
    page.locator("#pareto[data-ready]").wait_for(state="attached")
