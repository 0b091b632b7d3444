"""A training state as one safetensors file: tensors, and a description that says what they are of."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nas_service.studies import Recipe
from workers.training.state import TrainingState, Unfit

FORMAT = 1
DESCRIPTION = "training_state"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a state must be of to be gone on from; both are sha256."""

    architecture: str
    # Of everything else that makes two trainings equal.
    recipe: str

    @classmethod
    def of(
        cls, architecture_hash: str, recipe: Recipe, *, epochs: int, seed: int, pieces: int, split: str
    ) -> "Identity":
        """Return the identity of one training; `split` is the hash of the data's parts."""
        settled = {"epochs": epochs, "seed": seed, "pieces": pieces, "split": split}
        return cls(architecture_hash, _sha256_of({"recipe": recipe.model_dump(mode="json"), **settled}))


def write_state(state: TrainingState, identity: Identity, attempt: int) -> bytes:
    """Return the file of a state, for another attempt at the same training."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state.tensors.items()}
    description: dict[str, Any] = {
        "format": FORMAT,
        **asdict(identity),
        "epoch": state.epoch,
        "accuracy": state.accuracy,
        "trained_examples": state.trained_examples,
        "seconds": state.seconds,
        "attempt": attempt,
        "torch": torch.__version__,
    }
    description["digest"] = _digest(description, tensors)
    return save(tensors, metadata={DESCRIPTION: json.dumps(description)})


def read_state(content: bytes, identity: Identity) -> TrainingState:
    """Return the state in a file.

    Raises:
        Unfit: It is damaged, of a newer format, or of another training; the message says which.
    """
    try:
        description = json.loads(_metadata(content)[DESCRIPTION])
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise Unfit(f"it cannot be read ({type(error).__name__})") from error
    if not isinstance(description, dict) or not isinstance(description.get("format"), int):
        raise Unfit("it does not say its format")
    if description["format"] != FORMAT:
        raise Unfit(f"its format is {description['format']}, not {FORMAT}")
    if description.pop("digest", None) != _digest(description, tensors):
        raise Unfit("its digest is another: it is damaged")
    for what, wanted in asdict(identity).items():
        if description[what] != wanted:
            raise Unfit(f"it is of another {what}")
    return TrainingState(
        epoch=description["epoch"],
        accuracy=description["accuracy"],
        trained_examples=description["trained_examples"],
        seconds=description["seconds"],
        tensors=tensors,
    )


def _metadata(content: bytes) -> dict[str, str]:
    """Return a safetensors file's metadata: its header is JSON behind eight bytes that say its length."""
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return metadata


def _digest(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(_sha256_of(description).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _sha256_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
