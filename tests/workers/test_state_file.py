"""A stored state is read back whole, or refused: training never goes on from garbage."""

import json
from dataclasses import replace

import pytest
import torch

from nas_service.studies import Recipe
from workers.state_file import Identity, read_state, write_state
from workers.training.state import TrainingState, Unfit

IDENTITY = Identity("a" * 64, "b" * 64)
STATE = TrainingState(
    epoch=9,
    accuracy=0.75,
    trained_examples=1200,
    seconds=3.5,
    tensors={
        "network.weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2),
        "network.count": torch.tensor(7),
        "optimizer.0.step": torch.tensor(3.0),
        "generator.batches.cpu": torch.arange(200, dtype=torch.uint8),
    },
)


def test_a_state_is_read_back_as_it_was_written() -> None:
    state = read_state(write_state(STATE, IDENTITY, 2), IDENTITY)
    assert replace(state, tensors={}) == replace(STATE, tensors={})
    assert state.tensors.keys() == STATE.tensors.keys()
    for name, tensor in STATE.tensors.items():
        assert torch.equal(state.tensors[name], tensor)
        assert state.tensors[name].dtype == tensor.dtype


def test_any_flipped_byte_is_found() -> None:
    content = write_state(STATE, IDENTITY, 1)
    for place in range(0, len(content), max(1, len(content) // 64)):
        damaged = bytearray(content)
        damaged[place] ^= 0x20
        with pytest.raises(Unfit):
            read_state(bytes(damaged), IDENTITY)


def test_any_truncated_or_lengthened_file_is_found() -> None:
    content = write_state(STATE, IDENTITY, 1)
    for length in (0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1):
        with pytest.raises(Unfit):
            read_state(content[:length], IDENTITY)
    with pytest.raises(Unfit):
        read_state(content + b"\0", IDENTITY)


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(100), b"\x80\x04." * 50, b"\xff" * 64])
def test_a_file_of_another_kind_is_refused(content: bytes) -> None:
    with pytest.raises(Unfit, match="cannot be read"):
        read_state(content, IDENTITY)


def test_a_state_of_another_network_or_recipe_is_refused() -> None:
    content = write_state(STATE, IDENTITY, 1)
    with pytest.raises(Unfit, match="another architecture"):
        read_state(content, replace(IDENTITY, architecture="c" * 64))
    with pytest.raises(Unfit, match="another recipe"):
        read_state(content, replace(IDENTITY, recipe="c" * 64))


def test_a_newer_format_is_refused_before_anything_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.state_file.FORMAT", 2)
    content = write_state(STATE, IDENTITY, 1)
    monkeypatch.undo()
    with pytest.raises(Unfit, match="its format is 2, not 1"):
        read_state(content, IDENTITY)


@pytest.mark.parametrize("description", ["[]", "{}", '{"format": "1"}', '{"format": 1}', "nothing"])
def test_a_description_that_says_too_little_is_refused(description: str) -> None:
    from safetensors.torch import save

    content = save(dict(STATE.tensors), metadata={"training_state": description})
    with pytest.raises(Unfit):
        read_state(content, IDENTITY)


def test_whatever_makes_two_trainings_differ_is_part_of_the_identity() -> None:
    values = {"epochs": 9, "seed": 1, "pieces": 1, "split": "s"}

    def identity(recipe: Recipe | None = None, **changes: object) -> Identity:
        recipe = recipe or Recipe()
        return Identity.of("a" * 64, recipe, **{**values, **changes})  # type: ignore[arg-type]

    others = [
        identity(Recipe(learning_rate=0.2)),
        identity(epochs=10),
        identity(seed=2),
        identity(pieces=4),
        identity(split="t"),
    ]
    assert identity() == identity()
    assert len({json.dumps([other.recipe]) for other in (identity(), *others)}) == 6
