"""What only a GPU can show: the captured step, several candidates on streams, memory that runs out."""

import gc
import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nas_service.studies import Augmentation, Recipe
from nas_service.trials import EpochReport
from search_spaces import Architecture, RandomTrial, resolve_space
from search_spaces.modules import build
from workers.company import Company
from workers.data.arrays import TrainingData
from workers.devices import (
    candidates_at_once,
    chosen_device,
    device_name,
    give_memory_back,
    own_stream,
    resident,
    usable_on,
)
from workers.latency.measurement import measure
from workers.second_try import SMALL, WHOLE, Form, within_memory
from workers.training.captured_step import WARM_UP_STEPS, CapturedStep
from workers.training.state import TrainingState, Uninterrupted
from workers.training.trainer import TrainingResult, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
# Deterministic products need it, before CUDA starts; a worker sets it at its start.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
GPU = torch.device("cuda", 0)
AUGMENTED = Augmentation(crop_padding=1, noise=0.05)


@pytest.fixture
def resident_digits(digits_data: TrainingData) -> TrainingData:
    return resident(digits_data, GPU)


def trained(
    architecture: Architecture, data: TrainingData, recipe: Recipe, seed: int = 1, epochs: int = 8
) -> tuple[TrainingResult, dict[str, torch.Tensor], list[EpochReport]]:
    reports: list[EpochReport] = []
    with own_stream(GPU):
        network = build(architecture, seed=seed).to(GPU)
        result = train(
            network,
            data,
            recipe,
            epochs=epochs,
            seed=seed,
            on_epoch=lambda report: (reports.append(report), "continue")[1],  # type: ignore[return-value]
        )
        state = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    return result, state, reports


def test_a_captured_step_replays_what_it_did_eagerly() -> None:
    with own_stream(GPU):
        eager, captured = torch.zeros(5, device=GPU), torch.zeros(5, device=GPU)
        step = CapturedStep(lambda: captured.add_(1).mul_(1.5), [], GPU)  # type: ignore[arg-type, func-returns-value]
        for number in range(WARM_UP_STEPS + 4):
            assert step.is_captured == (number > WARM_UP_STEPS)
            step()
            eager.add_(1).mul_(1.5)
        assert torch.equal(eager, captured)
        step.close()


def test_each_replay_draws_anew_from_its_own_generator() -> None:
    with own_stream(GPU):
        generator = torch.Generator(GPU).manual_seed(3)
        number, seen = torch.zeros(4, device=GPU), []
        step = CapturedStep(lambda: number.uniform_(generator=generator), [generator], GPU)  # type: ignore[arg-type, func-returns-value]
        for _ in range(WARM_UP_STEPS + 5):
            step()
            seen.append(tuple(number.tolist()))
        assert step.is_captured
        assert len(set(seen)) == len(seen)
        step.close()


def test_a_step_that_cannot_be_captured_goes_on_eagerly(caplog: pytest.LogCaptureFixture) -> None:
    with own_stream(GPU):
        generator = torch.Generator(GPU).manual_seed(3)
        number, totals = torch.zeros(4, device=GPU), []

        def step_that_waits() -> None:
            number.uniform_(generator=generator)
            totals.append(float(number.sum()))

        step = CapturedStep(step_that_waits, [generator], GPU)
        for _ in range(WARM_UP_STEPS + 3):
            step()
        assert not step.is_captured
        assert "not captured" in caplog.text
        assert len(set(totals)) == len(totals) == WARM_UP_STEPS + 3


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_a_network_learns_digits_with_every_optimiser(
    optimizer: str,
    multi_scale: Architecture,
    resident_digits: TrainingData,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rate = {"sgd": 0.1, "adagrad": 0.05}.get(optimizer, 0.005)
    recipe = Recipe.model_validate(
        {"optimizer": optimizer, "learning_rate": rate, "augmentation": AUGMENTED, "dropout": 0.1}
    )
    result, _, reports = trained(multi_scale, resident_digits, recipe)
    assert result.accuracy > 0.9
    assert [report.epoch for report in reports] == list(range(1, 9))
    assert "not captured" not in caplog.text


def test_deterministic_training_repeats_itself_to_the_bit(
    multi_scale: Architecture, resident_digits: TrainingData
) -> None:
    recipe = Recipe(deterministic=True, dropout=0.1, augmentation=AUGMENTED)
    states = [trained(multi_scale, resident_digits, recipe, epochs=2)[1] for _ in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


class Handed(Uninterrupted):
    """Hands one state over, and keeps the last that it is offered."""

    def __init__(self, *earlier: TrainingState) -> None:
        self.states, self.last = earlier, TrainingState()

    def earlier(self) -> Iterable[TrainingState]:
        return self.states

    def offer(self, state: TrainingState, *, is_last: bool = False) -> None:
        self.last = state


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop", "adagrad"])
def test_a_captured_training_goes_on_from_a_state_to_equal_bits(
    optimizer: str,
    multi_scale: Architecture,
    resident_digits: TrainingData,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe = Recipe.model_validate(
        {
            "optimizer": optimizer,
            "learning_rate": 0.005,
            "deterministic": True,
            "dropout": 0.1,
            "augmentation": AUGMENTED,
        }
    )
    whole = trained(multi_scale, resident_digits, recipe, epochs=4)[1]
    first = Handed()

    def run(continuity: Handed, stop_behind: int) -> dict[str, torch.Tensor]:
        with own_stream(GPU):
            network = build(multi_scale, seed=1).to(GPU)
            train(
                network,
                resident_digits,
                recipe,
                epochs=4,
                seed=1,
                on_epoch=lambda report: "stop" if report.epoch == stop_behind else "continue",
                continuity=continuity,
            )
            return {name: tensor.cpu() for name, tensor in network.state_dict().items()}

    run(first, 2)
    resumed = run(Handed(first.last), 4)
    assert "not captured" not in caplog.text
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_candidates_on_streams_of_their_own_end_with_the_bits_they_have_alone(
    multi_scale: Architecture, resident_digits: TrainingData, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = Recipe(deterministic=True, dropout=0.2, augmentation=AUGMENTED)
    together: dict[int, dict[str, torch.Tensor]] = {}

    def work(seed: int) -> None:
        together[seed] = trained(multi_scale, resident_digits, recipe, seed, epochs=3)[1]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert "not captured" not in caplog.text
    for seed in range(4):
        alone = trained(multi_scale, resident_digits, recipe, seed, epochs=3)[1]
        assert all(torch.equal(alone[name], together[seed][name]) for name in alone)


def test_threads_that_begin_while_others_capture_do_not_end_their_captures(
    multi_scale: Architecture, resident_digits: TrainingData, caplog: pytest.LogCaptureFixture
) -> None:
    def work(seed: int) -> float:
        return trained(multi_scale, resident_digits, Recipe(), seed, epochs=1)[0].accuracy

    # Libraries are set up anew in every thread; each begins a little after the one before.
    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            futures = []
            for seed in range(4):
                futures.append(pool.submit(work, seed))
                time.sleep(0.01)
            assert all(future.result() > 0 for future in futures)
    assert "not captured" not in caplog.text


def test_a_worker_s_thread_keeps_one_stream_however_many_candidates_it_trains() -> None:
    with own_stream(GPU):
        kept = torch.cuda.current_stream(GPU)
        for _ in range(40):
            with own_stream(GPU):
                assert torch.cuda.current_stream(GPU) == kept


def test_an_inference_that_was_captured_outlasts_others_and_emptied_caches(multi_scale: Architecture) -> None:
    first = measure(multi_scale, "cuda", time_cap_s=1.0)
    other = resolve_space("multi_scale").sample(RandomTrial(7), multi_scale.input_shape, multi_scale.classes)
    for _ in range(3):
        torch.cuda.empty_cache()
        filled = torch.full((64, 1024, 1024), float("nan"), device=GPU)
        measure(other, "cuda", time_cap_s=1.0)
        del filled
    again = measure(multi_scale, "cuda", time_cap_s=1.0)
    assert again.median_ms == pytest.approx(first.median_ms, rel=0.5)


def test_memory_that_runs_out_in_a_capture_is_given_back() -> None:
    free, _ = torch.cuda.mem_get_info(GPU)
    kept: list[torch.Tensor] = []
    with own_stream(GPU):
        small = torch.zeros(4, device=GPU)

        def step() -> None:
            if torch.cuda.is_current_stream_capturing():
                kept.append(torch.empty(free // 4, dtype=torch.uint8, device=GPU))
                kept.append(torch.empty(2 * free, dtype=torch.uint8, device=GPU))
            small.add_(1)

        captured = CapturedStep(step, [], GPU)
        for _ in range(WARM_UP_STEPS):
            captured()
        with pytest.raises(torch.OutOfMemoryError):
            captured()
        kept.clear()
        give_memory_back(GPU)
        assert torch.cuda.mem_get_info(GPU)[0] > 0.9 * free


def test_memory_that_runs_out_is_told_and_given_back() -> None:
    _, total = torch.cuda.mem_get_info(GPU)
    forms: list[Form] = []

    def attempt(form: Form) -> None:
        forms.append(form)
        share = 2.0 if form == WHOLE else 0.1
        torch.empty(int(share * total), dtype=torch.uint8, device=GPU)

    with own_stream(GPU):
        within_memory(attempt, Company(), GPU)
    assert forms == [WHOLE, SMALL]
    assert "cuda:0 has" in usable_on(GPU)


def test_checkpointing_trains_on_a_gpu_too(multi_scale: Architecture, resident_digits: TrainingData) -> None:
    recipe = Recipe(checkpointing=True, dropout=0.1)
    assert trained(multi_scale, resident_digits, recipe)[0].accuracy > 0.9


def test_the_device_is_chosen_named_and_filled() -> None:
    assert chosen_device("auto") == chosen_device("cuda") == GPU
    assert device_name(GPU).startswith("cuda:0 (")
    assert chosen_device(f"auto:{torch.cuda.device_count()}") == GPU
    assert 1 <= candidates_at_once(GPU) <= 8
    assert candidates_at_once(GPU, 100 * torch.cuda.device_count()) == 1


def test_candidates_leave_no_memory_behind(multi_scale: Architecture, resident_digits: TrainingData) -> None:
    recipe = Recipe(dropout=0.1, augmentation=AUGMENTED)
    with own_stream(GPU):
        trained(multi_scale, resident_digits, recipe, epochs=1)
        gc.collect()
        before = torch.cuda.memory_allocated(GPU)
        gc.disable()
        try:
            for seed in range(3):
                trained(multi_scale, resident_digits, recipe, seed, epochs=1)
            assert torch.cuda.memory_allocated(GPU) == before
        finally:
            gc.enable()


def test_grouped_convolutions_and_large_kernels_train_as_they_do_plainly(
    resident_digits: TrainingData, caplog: pytest.LogCaptureFixture
) -> None:
    branches = [
        [{"op": "conv", "channels": 16, "kernel": 7}],
        [{"op": "conv", "channels": 16, "kernel": 5, "groups": 4}],
        [{"op": "depthwise_separable", "channels": 16, "kernel": 3}],
    ]
    stages = [
        {"branches": [[{"op": "conv", "channels": 16, "kernel": 5}]], "channels": 16},
        {"branches": branches, "channels": 48, "downsample": "max"},
    ]
    architecture = Architecture.from_dict({"input_shape": [1, 8, 8], "classes": 10, "stages": stages})
    fast, plain = (
        trained(architecture, resident_digits, Recipe(deterministic=is_plain))[0]
        for is_plain in (False, True)
    )
    assert "not captured" not in caplog.text
    assert fast.accuracy == pytest.approx(plain.accuracy, abs=0.03)
    assert fast.accuracy > 0.9
