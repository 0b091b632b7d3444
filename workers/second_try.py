"""Training that ran out of memory is tried once more: alone, in pieces, and keeping less."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from nas_service.studies import Recipe
from workers.company import Company
from workers.devices import give_memory_back, usable_on

log = logging.getLogger("nas.worker")
# What torch, the C library and CUDA say.
SIGNS = ("out of memory", "not enough memory", "allocate memory", "std::bad_alloc", "STATUS_ALLOC_FAILED")


class OutOfMemory(MemoryError):
    """A candidate does not fit into memory, not even alone and in pieces."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a candidate trains: into how many pieces its batches are cut, and whether maps are kept."""

    pieces: int = 1
    checkpointing: bool = False

    def __str__(self) -> str:
        return f"alone in {self.pieces} pieces with checkpointing" if self.checkpointing else "as it is"

    def of(self, recipe: Recipe) -> Recipe:
        """Return the recipe in this form."""
        return recipe.model_copy(update={"checkpointing": True}) if self.checkpointing else recipe


WHOLE = Form()
SMALL = Form(pieces=4, checkpointing=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, (RuntimeError, OSError)) and any(sign in str(error) for sign in SIGNS)


def within_memory(attempt: Callable[[Form], None], company: Company, device: torch.device) -> None:
    """Make an attempt beside others; if memory runs out, once more alone in the small form.

    Args:
        attempt: Trains from the seed, and leaves nothing behind if it raises.
        company: Who else trains in this process.
        device: Where.

    Raises:
        OutOfMemory: The second attempt failed too; the message says how much there is.
    """
    with company.together():
        if _fits(attempt, WHOLE):
            return
        company.shrink()
    log.warning("out of memory: trying once more %s", SMALL)
    with company.alone():
        give_memory_back(device)
        if _fits(attempt, SMALL):
            return
        give_memory_back(device)
        raise OutOfMemory(f"out of memory: does not fit {SMALL}; {usable_on(device)}")


def _fits(attempt: Callable[[Form], None], form: Form) -> bool:
    """Make an attempt; once this returns, no traceback keeps its tensors alive."""
    try:
        attempt(form)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
