"""The study page at 10,000 and 50,000 trials: first paint, front, plot, and how soon an update is seen.

python -m benchmarks.pages [--quick]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.databases import database
from benchmarks.page import measure_page
from benchmarks.report import conditions, print_table, write
from benchmarks.served import served
from benchmarks.server import finishing, prepare
from nas_service.settings import Settings

FIGURES = ("paint_ms", "front_ms", "usable_ms", "plot_ms", "update_ms")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="500 trials, two loads; writes no result")
    options = parser.parse_args()
    counts = (500,) if options.quick else (10_000, 50_000)
    loads, updates = (2, 3) if options.quick else (7, 10)
    found = {count: _measure(count, loads, updates) for count in counts}
    headers = ["trials", "KiB to paint"]
    headers += [f"{name.removesuffix('_ms')} {kind} ms" for name in FIGURES for kind in ("median", "worst")]
    rows = [
        [
            f"{count:,}",
            f"{page['bytes_to_paint'] / 1024:.0f}",
            *(f"{page[f'{name}_{kind}']:.0f}" for name in FIGURES for kind in ("median", "worst")),
        ]
        for count, page in found.items()
    ]
    print_table(headers, rows)
    if not options.quick:
        content = {"conditions": conditions("fastapi", "uvicorn", "sqlalchemy", "playwright")}
        pages = [{"trials": count, **page} for count, page in found.items()]
        print(write("pages", {**content, "database": "sqlite", "pages": pages}))  # noqa: T201


def _measure(trials: int, loads: int, updates: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, database("sqlite", Path(name)) as url:
        settings = Settings(home=Path(name) / "home", database_url=url)
        study, _ = prepare(settings, trials)
        with served(settings.data_home, url) as server, finishing(settings, study) as worker:
            return measure_page(
                server.address, server.token, study, worker.finish_one, loads=loads, updates=updates
            )


if __name__ == "__main__":
    main()
