"""Where the design ends, computed from the newest results of `benchmarks.server` and `benchmarks.scaling`.

Prints the tables, and writes them between the marks of `docs/scaling.md`.

    python -m benchmarks.limits
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
BEGIN, END = "<!-- computed by benchmarks.limits -->", "<!-- end -->"
TRIAL_SECONDS = (2, 30, 300)
# A machine that is busier than this makes everybody wait.
BUSY_SHARE = 0.8
SERVERS = ("sqlite", "postgresql")
# A front, or the plot of one, may take longer than a page of trials.
SHOWN = (
    "study",
    "front",
    "trials by number",
    "trials by accuracy",
    "trial",
    "curve",
    "events of a study",
    "page: study",
    "part: trials",
    "plot: front",
    "plot: hypervolume",
)

Result = dict[str, Any]


def main() -> None:
    """Write the tables."""
    text = "\n\n".join([*_reads(), *_coordination()])
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    print(text)  # noqa: T201


def _result(name: str) -> Result:
    found: Result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _reads() -> list[str]:
    results = {kind: _result(f"server_{kind}") for kind in SERVERS}
    one = results["sqlite"]
    sizes, load = one["sizes"], one["load"]
    intro = (
        f"**Reads at {sizes['trials']:,} trials**, {sizes['clients']} clients on the event stream, "
        f"{load['requests_per_second']:.0f} requests/s at random times over {sizes['connections']} "
        "connections, "
        f"{load['trials_finished_per_second']:.1f} trials/s finishing ({_conditions(one)}). "
        f"{sizes['requests_a_route']} requests a route."
    )
    header = ["read", *(f"{kind} {quantile}, ms" for kind in SERVERS for quantile in ("p50", "p99"))]
    rows = [
        [name, *(f"{results[k]['routes'][name][q]:.0f}" for k in SERVERS for q in ("p50_ms", "p99_ms"))]
        for name in SHOWN
    ]
    worst = {k: max(results[k]["routes"].items(), key=lambda item: item[1]["p99_ms"]) for k in SERVERS}
    slowest = "; ".join(f"{k}: {name}, p99 {row['p99_ms']:.0f} ms" for k, (name, row) in worst.items())
    more = [
        ["first front after a start, ms", *(f"{results[k]['cold_ms']['front']:.0f}" for k in SERVERS)],
        ["page usable, median and worst, ms", *(_page(r, "usable") for r in results.values())],
        ["plot drawn by plotly.js, median and worst, ms", *(_page(r, "plot") for r in results.values())],
        [
            "page busy, at the longest, ms",
            *(f"{r['page'].get('busy_ms_worst', 0):.0f}" for r in results.values()),
        ],
        [
            "page shows a finished trial after, ms",
            *(f"{r['page']['update_ms_median']:.0f}" for r in results.values()),
        ],
        ["longest frame, ms", *(f"{r['page']['longest_frame_ms']:.0f}" for r in results.values())],
        ["events received", *(f"{r['events']['received']:,}" for r in results.values())],
        ["reconnects", *(f"{r['events']['reconnects']:,}" for r in results.values())],
        ["events missed, repeated", *(_wrong(r["events"]) for r in results.values())],
        ["event's delay p50, p99, ms", *(_delay(r["events"]) for r in results.values())],
        ["decision at the first rung, ms", *(f"{r['rung_decision_ms']:.0f}" for r in results.values())],
        ["most memory of the server, MiB", *(str(r["server_peak_mib"]) for r in results.values())],
    ]
    return [intro, _table(header, rows), f"Slowest of all routes: {slowest}.", _table(["", *SERVERS], more)]


def _page(result: Result, what: str) -> str:
    figures = [result["page"].get(f"{what}_ms_{kind}") for kind in ("median", "worst")]
    return ", ".join("not measured" if figure is None else f"{figure:.0f}" for figure in figures)


def _wrong(events: Result) -> str:
    return f"{events['missed']}, {events['repeated_or_out_of_order']}"


def _delay(events: Result) -> str:
    return f"{events['delay_p50_ms']:.0f}, {events['delay_p99_ms']:.0f}"


def _coordination() -> list[str]:
    result = _result("scaling")
    cells = result["cells"]
    intro = (
        f"**Coordination** of trials that sleep {result['trial_s']:g} s and report {result['epochs']} "
        "epochs, "
        f"on PostgreSQL ({_conditions(result)}); clients, server and database share these cores."
    )
    header = ["ledger", "workers", "trials/s", "efficiency", "cores busy"]
    header += [f"{name} p50, p99, ms" for name in ("proposal", "report", "complete")]
    rows = [
        [
            cell["ledger"],
            str(cell["workers"]),
            f"{cell['trials_per_s']:.1f}",
            f"{100 * cell['efficiency']:.1f} %",
            f"{100 * cell['cores_busy_share']:.0f} %",
            *(_quantiles(cell["calls"][name]) for name in ("proposal", "report", "complete")),
        ]
        for cell in cells
    ]
    largest = [max((c for c in cells if c["ledger"] == ledger), key=_size) for ledger in ("sql", "http")]
    bounds = [[f"trials of {s} s", *(f"{_workers(cell, s):,}" for cell in largest)] for s in TRIAL_SECONDS]
    capacity = [["trials/s at most", *(f"{_capacity(cell):.0f}" for cell in largest)], *bounds]
    learns = max(cell["replica_ms_a_trial"] for cell in cells)
    learning = [[f"trials of {seconds} s", f"{_learners(seconds, learns):,}"] for seconds in TRIAL_SECONDS]
    return [
        intro,
        _table(header, rows),
        f"**Workers that this machine could serve**, at {BUSY_SHARE:.0%} busy, from its largest run:",
        _table(["", "on the database", "over a server"], capacity),
        "**Workers that learn from each other.** Each takes over every trial of the others, at "
        f"{learns:.2f} ms; that takes a tenth of a worker's time at:",
        _table(["", "workers"], learning),
    ]


def _size(cell: Result) -> int:
    return int(cell["workers"])


def _capacity(cell: Result) -> float:
    """Trials a second at which the machine has no time left."""
    return float(cell["trials_per_s"] / cell["cores_busy_share"])


def _workers(cell: Result, seconds: int) -> int:
    return int(BUSY_SHARE * _capacity(cell) * seconds)


def _learners(seconds: int, row_ms: float) -> int:
    # A trial changes twice: n workers bring 2 n / seconds rows a second to each of them.
    return int(0.1 * seconds / (2 * row_ms / 1000))


def _quantiles(call: Result) -> str:
    return f"{call['p50_ms']:.0f}, {call['p99_ms']:.0f}"


def _conditions(result: Result) -> str:
    conditions = result["conditions"]
    return f"{conditions['machine']}, Python {conditions['python']}, {conditions['date'][:10]}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
