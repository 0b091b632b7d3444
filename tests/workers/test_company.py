"""Who trains beside whom, and what happens when memory runs out."""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from nas_service.errors import ServiceError
from nas_service.studies import Recipe
from workers.company import Company
from workers.crew import run_together
from workers.devices import candidates_at_once, chosen_device, device_name
from workers.second_try import SMALL, WHOLE, Form, OutOfMemory, is_out_of_memory, within_memory

CPU = torch.device("cpu")
FULL = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes.")


@contextmanager
def others(company: Company, count: int) -> Iterator[threading.Event]:
    """Let so many other threads train until the event is set."""
    may_end, begun = threading.Event(), threading.Semaphore(0)

    def train() -> None:
        with company.together():
            begun.release()
            assert may_end.wait(30)

    threads = [threading.Thread(target=train) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert begun.acquire(timeout=30)
    yield may_end
    may_end.set()
    for thread in threads:
        thread.join(30)


def test_who_fits_is_tried_once_as_it_is() -> None:
    forms: list[Form] = []
    within_memory(forms.append, Company(), CPU)
    assert forms == [WHOLE]


def test_the_second_try_waits_until_all_others_have_ended() -> None:
    company, forms = Company(3), []
    with others(company, 2) as may_end:

        def attempt(form: Form) -> None:
            forms.append((form, may_end.is_set()))
            if form == WHOLE:
                may_end.set()
                raise FULL

        within_memory(attempt, company, CPU)
    assert forms == [(WHOLE, False), (SMALL, True)]
    assert company.places == 2


def test_nobody_begins_while_one_waits_to_be_alone_or_is() -> None:
    company, order = Company(2), []
    waits = threading.Event()

    def alone() -> None:
        waits.set()
        with company.alone():
            order.append("alone")

    def late() -> None:
        with company.together():
            order.append("late")

    with others(company, 1) as may_end:
        first = threading.Thread(target=alone)
        first.start()
        assert waits.wait(30)
        while not company._waiting_alone:
            pass
        second = threading.Thread(target=late)
        second.start()
        may_end.set()
        first.join(30)
        second.join(30)
    assert order == ["alone", "late"]


def test_latency_on_a_gpu_waits_for_quiet_and_on_a_cpu_only_for_its_turn() -> None:
    company, order = Company(2), []

    def measure() -> None:
        with company.quiet("cuda"):
            order.append("cuda")

    with others(company, 1) as may_end:
        measuring = threading.Thread(target=measure)
        measuring.start()
        while not company._waiting_alone:
            pass
        with company.quiet("cpu"):
            order.append("cpu")
        may_end.set()
        measuring.join(30)
    assert order == ["cpu", "cuda"]


def test_who_does_not_fit_alone_keeps_its_place_and_is_told_the_bound() -> None:
    def attempt(form: Form) -> None:
        raise FULL

    company = Company()
    with pytest.raises(OutOfMemory, match=r"out of memory: does not fit alone in 4 pieces .* this process"):
        within_memory(attempt, company, CPU)
    assert company.places == 1
    with company.together():
        pass


def test_nothing_of_the_first_try_is_alive_in_the_second() -> None:
    alive: list[bool] = []
    tensors: list[object] = []

    def attempt(form: Form) -> None:
        if form == SMALL:
            alive.append(tensors[0]() is not None)  # type: ignore[operator]
            return
        block = torch.zeros(1000)
        tensors.append(weakref.ref(block))
        raise RuntimeError(str(FULL))

    within_memory(attempt, Company(), CPU)
    assert alive == [False]


def test_other_errors_are_not_tried_again() -> None:
    forms: list[Form] = []

    def attempt(form: Form) -> None:
        forms.append(form)
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        within_memory(attempt, Company(), CPU)
    assert forms == [WHOLE]


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (FULL, True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_that_mean_that_memory_ran_out(error: Exception, is_one: bool) -> None:
    assert is_out_of_memory(error) == is_one


def test_the_small_form_checkpoints_and_changes_nothing_else() -> None:
    recipe = Recipe(learning_rate=0.3)
    assert SMALL.of(recipe) == Recipe(learning_rate=0.3, checkpointing=True)
    assert WHOLE.of(recipe) is recipe


def test_the_first_error_of_a_crew_ends_it_and_is_raised() -> None:
    ends = threading.Event()

    def loop(number: int) -> None:
        if number == 1:
            raise ValueError("broken")
        assert ends.wait(30)

    with pytest.raises(ValueError, match="broken"):
        run_together(loop, 3, on_error=ends.set)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:", "cuda:-1", "cpu:1", ""])
def test_an_unknown_accelerator_is_refused_with_the_allowed_ones(name: str) -> None:
    with pytest.raises(ServiceError, match="auto, auto:N, cpu, cuda or cuda:N"):
        chosen_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_auto_takes_the_cpu() -> None:
    with pytest.raises(ServiceError, match="sees 0 CUDA devices"):
        chosen_device("cuda")
    device = chosen_device("auto")
    assert chosen_device("auto:3") == chosen_device("cpu") == device
    assert (device, device_name(device), candidates_at_once(device)) == (CPU, "cpu", 1)
