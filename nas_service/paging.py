"""Orders of listings, and page tokens that mean nothing to anybody else."""

import base64
import binascii
import json

from nas_service.errors import FieldError, InvalidInput
from nas_service.metrics import METRICS

# How trials are listed: by number, newest first, by a metric with the best first or, with a minus, the worst.
ORDERS = ("number", "newest", *METRICS, *(f"-{name}" for name in METRICS))


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
