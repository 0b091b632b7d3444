"""Pictures of every page after a small real search: `python -m benchmarks.screenshots [--to DIR] [--docs]`.

Searches the built-in digits in a temporary data folder (30 candidates, some minutes on two cores), serves it,
and takes every page in both themes and two widths. With `--docs` the few that the documents show are written
anew too, in few colours so that they stay small. Needs Debian's Chromium.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
# The whole of a long page tells no more than its beginning.
MOST_HEIGHT = 2600
SEARCH = (
    *("search", "--dataset", "digits", "--name", "digits under 20,000 parameters", "--max-params", "20000"),
    *("--max-latency-ms", "1", "--trials", "30", "--epochs", "9", "--seed", "1", "--json"),
)
DOCS = Path(__file__).resolve().parents[1] / "docs" / "images"
# What the documents show, by page and theme; 1280 wide, from the top.
SHOWN = {"study": ("light", 1230), "new-study": ("light", 1120), "trial": ("dark", 1480)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path("screenshots"), help="where the pictures go")
    parser.add_argument("--home", type=Path, help="a data folder with a search in it already")
    parser.add_argument("--only", nargs="+", metavar="PAGE", help="some pages, for instance: study trial")
    parser.add_argument("--docs", action="store_true", help="also write those of docs/images")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    with _searched(arguments.home) as settings, serving(settings) as address, _browser() as browser:
        pages = {
            name: path
            for name, path in _pages(settings).items()
            if not arguments.only or name in arguments.only
        }
        for name, path in pages.items():
            for theme in THEMES:
                for width in WIDTHS:
                    target = arguments.to / f"{name}-{theme}-{width}.png"
                    _take(browser, address + path, theme, width, target)
                    sys.stdout.write(f"{target}\n")
    if arguments.docs:
        for name, (theme, height) in ((name, SHOWN[name]) for name in SHOWN if name in pages):
            _write_small(arguments.to / f"{name}-{theme}-1280.png", DOCS / f"{name}.png", height)


@contextmanager
def _searched(home: Path | None) -> Iterator[Settings]:
    """Yield the settings of a data folder that a search has ended in."""
    if home is not None:
        yield Settings(home=home, port=0)
        return
    with TemporaryDirectory() as folder:
        start = "import sys; from nas_service.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", start, *SEARCH]
        environment = {**os.environ, "NAS_HOME": folder}
        environment.pop("NAS_SERVER", None)
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        yield Settings(home=Path(folder), port=0)


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


def _pages(settings: Settings) -> dict[str, str]:
    """Return the address of every page by its name."""
    service = Service.open(settings, migrate=False)
    try:
        study = service.studies(page_size=1).items[0].study
        front = service.front(study).front
    finally:
        service.close()
    first, last = front[0], front[-1]
    parts = ("trials", "curves", "analysis", "log", "settings")
    return {
        "studies": "/studies",
        "new-study": f"/studies/new?clone={study}",
        "study": f"/studies/{study}",
        **{f"study-{part}": f"/studies/{study}/{part}" for part in parts},
        "trial": f"/trials/{first.trial}",
        "compare": f"/compare?t={first.trial}&t={last.trial}",
        "around": f"/studies/new?around={first.trial}",
        "families": "/families",
        "family": "/families/inception",
        "datasets": "/datasets",
        "dataset": "/datasets/digits",
        "describe": "/describe?family=two_conv_block",
        "workers": "/workers",
        "devices": "/devices",
        "settings": "/settings",
        "docs": "/docs",
    }


def _take(browser: Browser, address: str, theme: str, width: int, target: Path) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    _wait_until_drawn(page)
    page.screenshot(path=target, full_page=True)
    context.close()
    _cut(target)


def _wait_until_drawn(page: Page) -> None:
    for plot in page.locator("[data-figure]").all():
        plot.and_(page.locator("[data-ready]")).wait_for(state="attached", timeout=60_000)
    preflight = page.locator("#preflight")
    if preflight.count():
        preflight.locator(".share").wait_for(timeout=60_000)
    page.locator("#live[data-state=live]").wait_for(timeout=60_000)


def _cut(path: Path) -> None:
    with Image.open(path) as picture:
        if picture.height > MOST_HEIGHT:
            picture.crop((0, 0, picture.width, MOST_HEIGHT)).save(path)


def _write_small(source: Path, target: Path, height: int) -> None:
    with Image.open(source) as picture:
        shown = picture.convert("RGB").crop((0, 0, picture.width, min(height, picture.height)))
        # Of 256 colours; the median cut would lose the few pixels of the marks.
        few = shown.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(target, optimize=True)


if __name__ == "__main__":
    main()
