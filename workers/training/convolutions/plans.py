"""Which form of a convolution is fastest on this machine: measured once, then remembered."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch
from torch import Tensor

from workers.training.convolutions import forms
from workers.training.convolutions.case import PASSES, Case, Form, Pass, Plan
from workers.training.convolutions.case import forms as forms_of

Precisions = tuple[Literal["fp32", "bf16"], ...]
# Timed on at most so many examples: what is fastest there is so for a whole batch.
PROBED_BATCH = 32
REPEATS = 3
# A form must be faster than simpler ones by this much: less may be noise.
ADVANTAGE = 1.05
# A form that is slower than the best by so much at its first run is not run again.
HOPELESS = 1.3


class Plans:
    """What is known of this machine; `keep_in` adds what earlier processes measured.

    The file holds a JSON object a line, so that several workers can append to it. A line that cannot be read,
    or comes from another machine or version of torch, is passed over.
    """

    def __init__(self) -> None:
        self._known: dict[str, Plan] = {}
        self._path: Path | None = None
        self._lock = threading.Lock()

    def keep_in(self, path: Path) -> None:
        """Read plans from a file, and append to it what is measured from now on."""
        self._path = path
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                key, plan = _parsed(line)
                if key is not None and plan is not None:
                    self._known[key] = plan

    def plan(self, case: Case, precisions: Precisions) -> Plan:
        """Return the fastest form of each pass, measuring what is not known yet."""
        case = replace(case, batch=min(case.batch, PROBED_BATCH))
        key = _key(case, precisions)
        # One at a time: two measurements at once would disturb each other.
        with self._lock:
            if key not in self._known:
                self._known[key] = measured(case, precisions)
                self._append(key, self._known[key])
            return self._known[key]

    def _append(self, key: str, plan: Plan) -> None:
        if self._path is None:
            return
        # Where it cannot be kept, the next process measures again.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "plan": asdict(plan)}) + "\n")


# Of this process; a worker lets it keep a file in its data folder.
PLANS = Plans()


def measured(case: Case, precisions: Precisions) -> Plan:
    """Time all forms of all passes on random numbers and return the fastest of each."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        tensors = _example(case, precisions[0])
        return Plan(*(_fastest(case, which, precisions, tensors) for which in PASSES))


def _example(case: Case, precision: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return an input, a weight in fp32 and an output's gradient."""
    kept = Form("grouped", case.groups, "bf16" if precision == "bf16" else "fp32")
    x = forms.ordered(torch.randn(case.batch, case.in_channels, *case.size), case.axes).to(kept.dtype)
    weight = forms.ordered(torch.randn(case.weight_shape), case.axes)
    return x, weight, torch.randn_like(forms.forward(kept, case, x, weight))


def _fastest(case: Case, which: Pass, precisions: Precisions, tensors: tuple[Tensor, Tensor, Tensor]) -> Form:
    x, weight, gradient = tensors
    best, chosen = float("inf"), None
    for form in forms_of(case, which, precisions):
        runs: dict[Pass, Callable[[], Tensor]] = {
            "forward": lambda form=form: forms.forward(form, case, x, weight).to(x.dtype),  # type: ignore[misc]
            "input_gradient": lambda form=form: forms.input_gradient(  # type: ignore[misc]
                form, case, gradient, x, weight
            ).to(x.dtype),
            "weight_gradient": lambda form=form: forms.weight_gradient(form, case, gradient, x),  # type: ignore[misc]
        }
        seconds = _shortest(runs[which], give_up_at=HOPELESS * best)
        if chosen is None or seconds < best / ADVANTAGE:
            best, chosen = seconds, form
    assert chosen is not None
    return chosen


def _shortest(run: Callable[[], Tensor], *, give_up_at: float) -> float:
    best = float("inf")
    for number in range(REPEATS + 1):
        started = perf_counter()
        run()
        seconds = perf_counter() - started
        # The first run also prepares the library's kernel: it shows no more than what is hopeless.
        best = min(best, seconds) if number else best
        if seconds > (give_up_at if number else 3 * give_up_at):
            break
    return best


def _key(case: Case, precisions: Precisions) -> str:
    fields = ",".join(str(value) for value in asdict(case).values())
    return f"{_machine()}|{torch.get_num_threads()}|{'+'.join(precisions)}|{fields}"


@cache
def _machine() -> str:
    lines: list[str] = []
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "cpu")
    return f"{name}|{torch.backends.cpu.get_cpu_capability()}|{torch.__version__}"


def _parsed(line: str) -> tuple[str | None, Plan | None]:
    try:
        data: Any = json.loads(line)
        return str(data["key"]), Plan(**{name: Form(**form) for name, form in data["plan"].items()})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, None
