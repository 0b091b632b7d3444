"""Good inputs of every kind, and what chance makes of them: the same for the same seed and number."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hostile_files as files
import numpy as np
import yaml
from PIL import Image

from search_spaces import families
from search_spaces.families.pictures import typical

# Kinds of data set files; the others are texts.
FILE_KINDS = ("npz", "npy", "idx", "gz", "images", "image")
TEXT_KINDS = ("yaml", "spec", "space", "architecture", "ledger")
KINDS = FILE_KINDS + TEXT_KINDS
BOUNDARIES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NUMBERS = (
    0,
    -1,
    1.5,
    -0.0,
    10**20,
    -(10**400),
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    2**63,
    2**31,
    True,
)
TEXTS = (
    "",
    "\x00",
    "a\nb",
    "\ud800",
    "../../x",
    "<img src=x>",
    "x" * 5000,
    "\u202e",
    "{{1}}",
    "1e5",
    "null",
    "nan",
)
CONTAINERS: tuple[Any, ...] = ([], {}, [[]], [None] * 50, {"": {}}, [[[[[[]]]]]])


@dataclass(frozen=True, slots=True)
class Input:
    """Something to send, and what it once was."""

    number: int
    kind: str
    content: bytes


def inputs(seed: int, numbers: range) -> list[Input]:
    """Return mutated inputs; each depends on the seed and its own number only."""
    return [mutated(seed, number) for number in numbers]


def mutated(seed: int, number: int) -> Input:
    """Return the input of a number: kinds take turns."""
    chance = random.Random(f"{seed}/{number}")
    kind = KINDS[number % len(KINDS)]
    return Input(number, kind, MUTATORS[kind](chance))


def mutate_bytes(chance: random.Random, content: bytes) -> bytes:
    """Return bytes with one to four things done to them."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 2, 4, 8, 64, 512)))
        action = chance.choice(
            ("flip", "flip", "number", "number", "cut", "copy", "insert", "delete", "fill")
        )
        if action == "flip" and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif action == "number":
            size, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
            value = chance.choice(BOUNDARIES) % 256**size
            data[at : at + size] = value.to_bytes(size, order)  # type: ignore[arg-type]
        elif action == "cut":
            del data[at:]
        elif action == "copy":
            data[at:at] = data[at:end] * chance.randint(1, 5)
        elif action == "insert":
            data[at:at] = chance.randbytes(chance.randint(1, 64))
        elif action == "delete":
            del data[at:end]
        elif action == "fill":
            data[at:end] = bytes([chance.choice((0, 255))]) * (end - at)
    return bytes(data)


def mutate_data(chance: random.Random, data: Any) -> Any:
    """Return plain data with one to three values changed, added or taken away."""
    data = json.loads(json.dumps(data))
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(list(_places(data)) or [({"": data}, "")])
        action = chance.choice(("junk", "junk", "junk", "delete", "wrap", "double", "key"))
        if action == "delete":
            del holder[key]
        elif action == "wrap":
            holder[key] = [holder[key]]
        elif action == "double" and isinstance(holder[key], list):
            holder[key] = holder[key] * chance.randint(2, 30)
        elif action == "key" and isinstance(holder, dict):
            holder[chance.choice(("", "x", "__class__", "é", *holder))] = _junk(chance)
        else:
            holder[key] = _junk(chance)
    return data


def _places(data: Any) -> list[tuple[Any, Any]]:
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    found = [(data, key) for key in keys]
    return found + [place for key in keys for place in _places(data[key])]


def _junk(chance: random.Random) -> Any:
    return chance.choice((chance.choice(NUMBERS), chance.choice(TEXTS), chance.choice(CONTAINERS), None))


def _good_npz(chance: random.Random) -> dict[str, bytes]:
    labels = chance.choice(
        (files.LABELS, files.LABELS.astype(np.uint8), np.array(["a", "b", "c"])[files.LABELS])
    )
    images = chance.choice((files.IMAGES, files.IMAGES.astype(np.float32), files.IMAGES.astype(">i2")))
    members = {"x_train.npy": files.npy_of(images), "y_train.npy": files.npy_of(labels)}
    if chance.random() < 0.5:
        members |= {"x_test.npy": files.npy_of(images[:3]), "y_test.npy": files.npy_of(labels[:3])}
    return members


def _mutated_npz(chance: random.Random) -> bytes:
    return mutate_bytes(chance, _packed(chance, _good_npz(chance)))


def _mutated_npy(chance: random.Random) -> bytes:
    """A whole archive of arrays that are not: checksums keep most other mutants from getting far."""
    members = _good_npz(chance)
    name = chance.choice(list(members))
    header = members[name][: chance.choice((10, 80, 128))]
    members[name] = mutate_bytes(chance, header) + members[name][len(header) :]
    return _packed(chance, members)


def _mutated_idx(chance: random.Random) -> bytes:
    images, labels = files.idx(files.IMAGES), files.idx(files.LABELS.astype(np.uint8))
    head = mutate_bytes(chance, images[:16]) + images[16:]
    bad = chance.choice((head, mutate_bytes(chance, images)))
    pair = (bad, labels) if chance.random() < 0.7 else (images, mutate_bytes(chance, labels))
    return files.idx_zip(*pair, ending=chance.choice(("", ".gz")))


def _mutated_gz(chance: random.Random) -> bytes:
    import gzip

    good = gzip.compress(files.idx(files.IMAGES), mtime=0)
    labels = gzip.compress(files.idx(files.LABELS.astype(np.uint8)), mtime=0)
    return files.zipped(
        {"train-images-idx3-ubyte.gz": mutate_bytes(chance, good), "train-labels-idx1-ubyte.gz": labels}
    )


def _good_pictures(chance: random.Random) -> dict[str, bytes]:
    kind, mode = chance.choice((("PNG", "L"), ("PNG", "P"), ("JPEG", "RGB"), ("BMP", "RGB"), ("WEBP", "RGB")))
    stream = io.BytesIO()
    noise = np.random.default_rng(chance.getrandbits(32)).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(stream, kind)
    return {f"{name}/{n}.{kind.lower()}": stream.getvalue() for name in "ab" for n in range(3)}


def _mutated_images(chance: random.Random) -> bytes:
    return mutate_bytes(chance, _packed(chance, _good_pictures(chance)))


def _mutated_image(chance: random.Random) -> bytes:
    """An archive that is whole, of pictures of which one is not."""
    members = _good_pictures(chance)
    name = chance.choice(list(members))
    return _packed(chance, {**members, name: mutate_bytes(chance, members[name])})


def _packed(chance: random.Random, members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return stream.getvalue()


def good_spec(chance: random.Random) -> dict[str, Any]:
    return {
        "name": "fuzzed",
        "dataset": "digits",
        "space": chance.choice((*families.names(), {"family": "multi_scale", "override": {"depth": [1, 2]}})),
        "objectives": [{"metric": "accuracy", "goal": "max"}, {"metric": "latency_ms", "goal": "min"}],
        "constraints": {"params": {"max": 50000}, "latency_ms": {"max": 4.0, "at": "p90"}},
        "device": "cpu",
        "search": {"sampler": "auto", "seed": 0},
        "training": {"epochs": 9, "early_stopping": "pareto", "recipe": {"augmentation": {}}},
        "budget": {"trials": 20, "minutes": 5},
    }


def _good_space(chance: random.Random) -> dict[str, Any]:
    return {**good_spec(chance), "space": families.get(chance.choice(families.names())).space.to_dict()}


def _good_architecture(chance: random.Random) -> dict[str, Any]:
    return typical(chance.choice(families.names())).to_dict()


def _good_call(chance: random.Random) -> dict[str, Any]:
    """What a worker sends; the key says where to."""
    lease = {"trial_id": 1, "worker_id": 1, "attempt": 1}
    epoch = {"epoch": 1, "train_loss": 1.0, "validation_loss": 1.0, "accuracy": 0.5, "metrics": {"f1": 0.5}}
    outcome = {
        "report_id": "12345678",
        "state": "complete",
        "metrics": {"accuracy": 0.5},
        "timings": {"s": 1.0},
    }
    return chance.choice(
        (
            {
                "workers:register": {
                    "name": "w",
                    "host": "h",
                    "pid": 1,
                    "versions": {"a": "1"},
                    "device": "cpu",
                }
            },
            {"leases:acquire": {"worker_id": 1, "study_id": None}},
            {"leases/1:heartbeat": lease},
            {"leases/1:report": {"lease": lease, "report": epoch}},
            {"leases/1:complete": {"lease": lease, "outcome": outcome}},
            {"studies/1:join": {"worker_id": 1}},
            {
                "studies/1/proposals": {
                    "worker_id": 1,
                    "proposals": [{"params": {"a": 1}, "distributions": {}}],
                }
            },
            {"studies/1/trials": _good_architecture(chance)},
            {"measurements:request": {"architecture": _good_architecture(chance), "device": "pi"}},
        )
    )


def _json(data: Any) -> bytes:
    """Return JSON as Python writes it, NaN and Infinity among it."""
    return json.dumps(data).encode()


def _mutated_text(good: Callable[[random.Random], Any]) -> Callable[[random.Random], bytes]:
    def mutate(chance: random.Random) -> bytes:
        text = _json(mutate_data(chance, good(chance)))
        return text if chance.random() < 0.8 else mutate_bytes(chance, text)

    return mutate


def _mutated_yaml(chance: random.Random) -> bytes:
    data = mutate_data(chance, chance.choice((good_spec, _good_space, _good_architecture))(chance))
    text = yaml.dump(data, allow_unicode=True).encode("utf-8", "surrogatepass")
    return text if chance.random() < 0.5 else mutate_bytes(chance, text)


def _mutated_call(chance: random.Random) -> bytes:
    ((path, body),) = _good_call(chance).items()
    return path.encode() + b"\n" + _json(mutate_data(chance, body))


MUTATORS: dict[str, Callable[[random.Random], bytes]] = {
    "npz": _mutated_npz,
    "npy": _mutated_npy,
    "idx": _mutated_idx,
    "gz": _mutated_gz,
    "images": _mutated_images,
    "image": _mutated_image,
    "yaml": _mutated_yaml,
    "spec": _mutated_text(good_spec),
    "space": _mutated_text(_good_space),
    "architecture": _mutated_text(_good_architecture),
    "ledger": _mutated_call,
}
