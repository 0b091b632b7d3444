"""Orders of listings, and page tokens that mean nothing to anybody else."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import TypeVar

from nas_service.errors import FieldError, InvalidInput
from nas_service.metrics import METRICS
from nas_service.views import Page

Item = TypeVar("Item")
MAX_PAGE_SIZE = 500
# How trials are listed: by number, newest first, by a metric with the best first or, with a minus, the worst.
ORDERS = ("number", "newest", *METRICS, *(f"-{name}" for name in METRICS))


def paged(items: Sequence[Item], scope: str, page_size: int, page_token: str | None) -> Page[Item]:
    """Return one page of a list that is short enough to be made whole.

    Args:
        items: All of them.
        scope: Names the listing.
        page_size: So many at most.
        page_token: From the page before; `InvalidInput` for one of another listing.
    """
    start = decode_token(page_token, scope) if page_token else 0
    end = start + page_size
    more = encode_token(scope, end) if end < len(items) else None
    return Page[Item](items=list(items[start:end]), next_page_token=more)


def checked_page_size(size: int) -> int:
    """Return the size of a page; raises `InvalidInput` where it is out of range."""
    if not 1 <= size <= MAX_PAGE_SIZE:
        raise InvalidInput(FieldError("/page_size", f"{size} is out of range", f"1 to {MAX_PAGE_SIZE}"))
    return size


def encode_token(scope: str, position: int) -> str:
    """Return the token for the page that starts behind a position of a listing."""
    return base64.urlsafe_b64encode(json.dumps([scope, position]).encode()).decode().rstrip("=")


def decode_token(token: str, scope: str) -> int:
    """Return the position of a token; raises `InvalidInput` for one of another listing."""
    try:
        padded = token.encode() + b"=" * (-len(token) % 4)
        found, position = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise _bad_token() from error
    if found != scope or not isinstance(position, int) or not 0 <= position < 2**31:
        raise _bad_token()
    return position


def _bad_token() -> InvalidInput:
    return InvalidInput(
        FieldError("/page_token", "is of another listing; use next_page_token as it was given")
    )
