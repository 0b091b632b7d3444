"""The head of a network: from the last map to one logit a class."""

from dataclasses import dataclass, replace
from typing import Any

from search_spaces.operations.operation import MAX_CHANNELS
from search_spaces.validation import as_items, as_mapping, is_count, is_rate, one_of, plain_rate, refuse

HEAD_POOLS = ("avg", "max", "flatten")
MAX_DENSE_LAYERS = 2
MAX_BINS = 4
_FIELDS = ("pool", "bins", "dense", "dropout")


@dataclass(frozen=True, slots=True)
class Head:
    """From the last map to one logit a class; dropout acts behind each dense layer, or on the pooled map."""

    pool: str = "avg"
    # Into how many bins an axis the map is pooled; 1 is the whole map at once.
    bins: int = 1
    dense: tuple[int, ...] = ()
    dropout: float = 0.0


def check_head(head: Head) -> None:
    """Raise `ArchitectureError` where a rule is broken."""
    one_of("head", "pool", head.pool, HEAD_POOLS, "/head/pool")
    if not is_count(head.bins, MAX_BINS):
        refuse("head", "bins", head.bins, f"1 to {MAX_BINS}", "/head/bins")
    if len(head.dense) > MAX_DENSE_LAYERS or not all(is_count(width, MAX_CHANNELS) for width in head.dense):
        allowed = f"at most {MAX_DENSE_LAYERS} widths from 1 to {MAX_CHANNELS}"
        refuse("head", "dense", head.dense, allowed, "/head/dense")
    if not is_rate(head.dropout):
        refuse("head", "dropout", head.dropout, "0 up to, not including, 1", "/head/dropout")


def canonical_head(head: Head, size: tuple[int, ...]) -> Head:
    """Return the canonical form behind a map: a bin for each position is flattening, one position is all."""
    pool, bins = head.pool, 1 if head.pool == "flatten" else min(head.bins, max(size))
    if max(size) == 1:
        pool = "avg"
    elif bins > 1 and bins >= max(size):
        pool, bins = "flatten", 1
    dropout = plain_rate(head.dropout)
    if (pool, bins) == (head.pool, head.bins) and dropout is head.dropout and type(head.dense) is tuple:
        return head
    return replace(head, pool=pool, bins=bins, dense=tuple(head.dense), dropout=dropout)


def head_to_data(head: Head) -> dict[str, Any]:
    """Return plain data."""
    bins = {"bins": head.bins} if head.bins > 1 else {}
    return {"pool": head.pool, **bins, "dense": list(head.dense), "dropout": head.dropout}


def head_from(data: Any) -> Head:
    """Read plain data; raises `ArchitectureError` for anything that is no head."""
    known = dict(as_mapping(data, _FIELDS, "head", "/head"))
    dense = as_items(known.pop("dense", ()), 0, MAX_DENSE_LAYERS, "head, dense", "/head/dense")
    return Head(dense=tuple(dense), **known)
