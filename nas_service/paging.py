"""Orders of listings, and page tokens that mean nothing to anybody else."""

import base64
import binascii
import json
from typing import Any

from sqlalchemy import ColumnElement, Float, cast

from nas_service.errors import FieldError, InvalidInput
from nas_service.metrics import METRICS
from nas_service.store.models import TrialRow, table

TRIAL = table(TrialRow)


def _figure(name: str) -> ColumnElement[Any]:
    value: ColumnElement[Any] = cast(TRIAL.c.metrics[name].as_string(), Float)
    return value.desc().nulls_last() if METRICS[name].goal == "max" else value.asc().nulls_last()


# How trials may be listed: by number, newest first, or by a metric with the best first.
OFFSET_ORDERS: dict[str, ColumnElement[Any]] = {
    "number": TRIAL.c.number.asc(),
    "newest": TRIAL.c.number.desc(),
    **{name: _figure(name) for name in METRICS},
}


def encode_token(scope: str, position: int) -> str:
    """Return the token for the page that starts at a position of a listing."""
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
