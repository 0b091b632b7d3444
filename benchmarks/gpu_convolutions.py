"""Which form of a convolution trains fastest on a GPU: grouped or dense, guessed by the library or tried.

Each case is an input of 128 examples in bfloat16, channels last. A pass through it and back is timed as a
captured graph; "first" is what the first pass takes in a thread that has never met the case, as the thread of
a worker does with each new candidate.

    python -m benchmarks.gpu_convolutions
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import torch

from benchmarks.report import conditions, print_table, write
from workers.devices import own_stream
from workers.training.convolutions.case import Case
from workers.training.convolutions.dense import GUESSES, convolved
from workers.training.convolutions.forms import widened

BATCH, REPLAYS, ROUNDS = 128, 10, 3
# Channels in and out, kernel, groups, side of the map.
CASES = (
    (64, 64, 3, 1, 14),
    (1, 16, 7, 1, 28),
    (32, 32, 7, 1, 14),
    (64, 16, 5, 4, 14),
    (64, 16, 7, 8, 14),
    (64, 16, 9, 16, 14),
    (64, 16, 9, 16, 28),
    (32, 32, 3, 4, 28),
    (64, 64, 3, 2, 14),
    (24, 24, 5, 24, 28),
    (64, 64, 3, 64, 28),
    (64, 64, 7, 64, 14),
    (128, 128, 3, 128, 14),
    (256, 256, 3, 256, 14),
)
# Name, whether it is dense, whether the library's best guesses are tried.
FORMS = (
    ("grouped", False, False),
    ("dense", True, False),
    ("grouped, tried", False, True),
    ("dense, tried", True, True),
)


def timed(case: Case, *, is_dense: bool, is_tried: bool) -> dict[str, float]:
    """Return microseconds of a pass there and back, and seconds of the first one."""
    device = torch.device("cuda")
    shape = (case.batch, case.in_channels, *case.size)
    x = torch.randn(shape, device=device, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    weight = torch.randn(case.weight_shape, device=device).to(memory_format=torch.channels_last)
    x.requires_grad_(case.in_channels > 1)
    weight.requires_grad_()
    groups = 1 if is_dense else case.groups
    wanted = [tensor for tensor in (x, weight) if tensor.requires_grad]

    def there_and_back() -> None:
        y = convolved(case, x, widened(case, weight.to(x.dtype), groups), None, groups, is_tried=is_tried)
        torch.autograd.grad(y, wanted, torch.ones_like(y))

    with own_stream(device):
        first = _seconds(there_and_back)
        return {"microseconds": 1e6 * _replayed(there_and_back), "first_s": first}


def _seconds(run: Callable[[], None]) -> float:
    torch.cuda.synchronize()
    started = perf_counter()
    run()
    torch.cuda.synchronize()
    return perf_counter() - started


def _replayed(run: Callable[[], None]) -> float:
    """Return the seconds of one of many replays, the shortest of a few rounds."""
    run()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        run()

    def replays() -> None:
        for _ in range(REPLAYS):
            graph.replay()

    return min(_seconds(replays) for _ in range(ROUNDS)) / REPLAYS


def measured(case: Case) -> dict[str, dict[str, float]]:
    """Return the figures of each form that differs, each measured in a thread of its own."""
    found = {}
    for name, is_dense, is_tried in FORMS:
        if case.groups == 1 and is_dense:
            continue
        with ThreadPoolExecutor(1) as thread:
            found[name] = thread.submit(timed, case, is_dense=is_dense, is_tried=is_tried).result()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("torch sees no CUDA device here")
    torch.backends.cudnn.benchmark_limit = GUESSES
    timed(_case(8, 8, 3, 1, 8), is_dense=False, is_tried=False)
    found: list[dict[str, Any]] = [{"case": case, "forms": measured(_case(*case))} for case in CASES]
    rows = [
        [
            f"{in_}->{out} {k}x{k} g{groups} {side}x{side}",
            *(_cell(line["forms"].get(name)) for name, *_ in FORMS),
        ]
        for line in found
        for in_, out, k, groups, side in [line["case"]]
    ]
    print_table(["case", *(name for name, *_ in FORMS)], rows)
    about = {**conditions("torch"), "gpu": torch.cuda.get_device_name()}
    print(f"written to {write('gpu_convolutions', {'conditions': about, 'cases': found})}")  # noqa: T201


def _case(in_channels: int, out_channels: int, kernel: int, groups: int, side: int) -> Case:
    return Case(in_channels, out_channels, (kernel, kernel), 1, (1, 1), groups, (side, side), BATCH)


def _cell(figures: dict[str, float] | None) -> str:
    return f"{figures['microseconds']:.0f} us, first {figures['first_s']:.2f} s" if figures else "-"


if __name__ == "__main__":
    main()
