"""Which form of a network's layers trains fastest on a GPU.

Convolutions in groups or dense, in the form that the library guesses or in one of a few that it tries;
branches of one map apart or as one convolution; pooling, normalisation and activation layer by layer or as
one operation. Each case is an input of 128 examples in bfloat16, channels last. A pass through it and back is
timed as a captured graph; "first" is what the first pass takes in a thread that has never met the case, as
the thread of a worker does with each new candidate.

    python -m benchmarks.gpu_layers
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.report import conditions, print_table, write
from workers.devices import own_stream
from workers.training.convolutions.case import Case
from workers.training.convolutions.dense import GUESSES, LARGE, convolved
from workers.training.convolutions.placing import Block, Placing
from workers.training.fused.apply import operation_of
from workers.training.fused.chain import Chain

BATCH, REPLAYS, ROUNDS = 128, 10, 3
DEVICE = torch.device("cuda")
# Channels in and out, kernel, groups, side of the map.
CONVOLUTIONS = (
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
# Channels in, side of the map, and of each branch: channels out, kernel, groups.
BRANCHES = (
    (1, 28, ((16, 3, 1), (16, 7, 1))),
    (32, 14, ((32, 3, 1), (32, 7, 1))),
    (32, 28, ((16, 3, 1), (16, 5, 1))),
    (64, 14, ((16, 3, 1), (16, 5, 4), (16, 7, 8), (16, 9, 16))),
    (64, 28, ((16, 3, 1), (16, 5, 4), (16, 7, 8), (16, 9, 16))),
    (64, 14, ((32, 1, 1), (32, 3, 1), (32, 5, 1))),
    (128, 14, ((64, 3, 1), (64, 5, 1))),
)
# Channels, side of the map, whether it is pooled, activation (none: no normalisation either).
CHAINS = (
    (32, 28, True, "relu"),
    (32, 28, False, "relu"),
    (64, 28, True, "relu"),
    (64, 14, True, "relu"),
    (128, 14, True, "gelu"),
    (32, 28, True, None),
)
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}
Pass = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("torch sees no CUDA device here")
    if operation_of(DEVICE) is None:
        parser.error("triton compiles nothing here")
    torch.backends.cudnn.benchmark_limit = GUESSES
    # What a process loads once is no part of any case.
    in_a_new_thread(lambda: convolution(_case(8, 8, 3, 1, 8), is_dense=False, is_tried=False))
    found = {"convolutions": convolutions(), "branches": branches(), "chains": chains()}
    about = {**conditions("torch", "triton"), "gpu": torch.cuda.get_device_name()}
    print(f"written to {write('gpu_layers', {'conditions': about, **found})}")  # noqa: T201


def convolutions() -> list[dict[str, Any]]:
    """Time each convolution in each form that differs."""
    found: list[dict[str, Any]] = []
    for figures in CONVOLUTIONS:
        case = _case(*figures)
        wanted = {name: form for name, *form in FORMS if case.groups > 1 or not form[0]}
        forms = {
            name: in_a_new_thread(lambda form=form: convolution(case, is_dense=form[0], is_tried=form[1]))  # type: ignore[misc]  # noqa: B023
            for name, form in wanted.items()
        }
        found.append({"case": figures, "forms": forms})
    names = [name for name, *_ in FORMS]
    rows = [
        [f"{in_}->{out} {k}x{k} g{groups} {side}x{side}", *(_cell(line["forms"].get(name)) for name in names)]
        for line in found
        for in_, out, k, groups, side in [line["case"]]
    ]
    print_table(["convolution", *names], rows)
    return found


def branches() -> list[dict[str, Any]]:
    """Time branches of one map, each dense, one after the other and as a single convolution."""
    found: list[dict[str, Any]] = []
    for figures in BRANCHES:
        in_channels, side, own = figures
        cases = tuple(_case(in_channels, *branch, side) for branch in own)
        forms = {
            "apart": in_a_new_thread(lambda: branch_pass(*(Block((case,)) for case in cases))),  # noqa: B023
            "as one": in_a_new_thread(lambda: branch_pass(Block(cases))),  # noqa: B023
        }
        found.append({"case": figures, "forms": forms})
    rows = [
        [
            f"{in_channels}->{'+'.join(str(out) for out, *_ in own)} "
            f"{' '.join(f'{k}x{k}' for _, k, _ in own)} {side}x{side}",
            *(_cell(figures) for figures in line["forms"].values()),
        ]
        for line in found
        for in_channels, side, own in [line["case"]]
    ]
    print_table(["branches", "apart", "as one"], rows)
    return found


def chains() -> list[dict[str, Any]]:
    """Time pooling, normalisation and activation as modules and as one operation."""
    found: list[dict[str, Any]] = []
    for figures in CHAINS:
        forms = {
            name: in_a_new_thread(lambda name=name: chain_pass(*figures, is_fused=name == "as one"))  # type: ignore[misc]  # noqa: B023
            for name in ("apart", "as one")
        }
        found.append({"case": figures, "forms": forms})
    rows = [
        [
            f"{channels} {side}x{side}, {'pooled' if is_pooled else 'not pooled'}, {function}",
            *(_cell(figures) for figures in line["forms"].values()),
        ]
        for line in found
        for channels, side, is_pooled, function in [line["case"]]
    ]
    print_table(["chain", "apart", "as one"], rows)
    return found


def convolution(case: Case, *, is_dense: bool, is_tried: bool) -> dict[str, float]:
    """Time one convolution."""
    return _pass((Block((case,), 1 if is_dense else case.groups),), is_tried=is_tried)


def branch_pass(*blocks: Block) -> dict[str, float]:
    """Time blocks that read the same map, concatenated; large kernels apart are tried, as in training."""
    is_tried = len(blocks) > 1
    return _pass(blocks, is_tried=is_tried)


def _pass(blocks: Sequence[Block], *, is_tried: bool) -> dict[str, float]:
    case = blocks[0].cases[0]
    x = _map(case.in_channels, *case.size)
    # Of pictures no gradient is wanted.
    x.requires_grad_(case.in_channels > 1)
    placing = Placing(blocks, x.device)
    weights = [
        torch.randn(one.weight_shape, device=x.device).to(memory_format=torch.channels_last).requires_grad_()
        for one in placing.cases
    ]
    wanted = [tensor for tensor in (x, *weights) if tensor.requires_grad]

    def there_and_back() -> None:
        placed = placing.placed(weights, x.dtype)
        maps = [
            convolved(
                block.cases[0],
                x,
                weight,
                None,
                block.groups,
                is_tried=is_tried and (len(blocks) == 1 or max(block.kernel) >= LARGE),
            )
            for block, weight in zip(blocks, placed, strict=True)
        ]
        y = torch.cat(maps, 1) if len(maps) > 1 else maps[0]
        torch.autograd.grad(y, wanted, torch.ones_like(y))

    return _timed(there_and_back)


def chain_pass(
    channels: int, side: int, is_pooled: bool, function: str | None, *, is_fused: bool
) -> dict[str, float]:
    """Time a chain of layers."""
    x = _map(channels, side, side).requires_grad_()
    norm = nn.BatchNorm2d(channels, device=x.device) if function else None
    operation = operation_of(DEVICE)
    assert operation is not None
    chain = Chain(is_pooled, norm, function or "none")
    layers: list[nn.Module] = [nn.MaxPool2d(2)] * is_pooled
    layers += [norm, ACTIVATIONS[function]()] if norm and function else []
    modules = nn.Sequential(*layers)
    wanted = [x, *modules.parameters()]

    def there_and_back() -> None:
        y = operation.run(chain, x) if is_fused else modules(x)
        torch.autograd.grad(y, wanted, torch.ones_like(y))

    with torch.autocast("cuda", dtype=torch.bfloat16):
        return _timed(there_and_back)


def in_a_new_thread(measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return what is measured in a thread and on a stream of its own."""

    def on_its_own_stream() -> dict[str, float]:
        with own_stream(DEVICE):
            return measure()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(on_its_own_stream).result()


def _map(channels: int, *sides: int) -> Tensor:
    x = torch.randn((BATCH, channels, *sides), device=DEVICE, dtype=torch.bfloat16)
    return x.to(memory_format=torch.channels_last)


def _timed(there_and_back: Pass) -> dict[str, float]:
    """Return microseconds of a pass there and back, and seconds of the first one."""
    first = _seconds(there_and_back)
    return {"microseconds": 1e6 * _replayed(there_and_back), "first_s": first}


def _seconds(passes: Pass) -> float:
    torch.cuda.synchronize()
    started = perf_counter()
    passes()
    torch.cuda.synchronize()
    return perf_counter() - started


def _replayed(there_and_back: Pass) -> float:
    """Return the seconds of one of many replays, the shortest of a few rounds."""
    there_and_back()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        there_and_back()

    def replays() -> None:
        for _ in range(REPLAYS):
            graph.replay()

    return min(_seconds(replays) for _ in range(ROUNDS)) / REPLAYS


def _case(in_channels: int, out_channels: int, kernel: int, groups: int, side: int) -> Case:
    return Case(in_channels, out_channels, (kernel, kernel), 1, (1, 1), groups, (side, side), BATCH)


def _cell(figures: dict[str, float] | None) -> str:
    return f"{figures['microseconds']:.0f} us, first {figures['first_s']:.2f} s" if figures else "-"


if __name__ == "__main__":
    main()
