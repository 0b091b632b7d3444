"""Values on `nas-worker`'s command line, each refused with what is allowed."""

import re
from argparse import ArgumentTypeError

# Python and torch alone take about half of this.
LEAST_GIGABYTES = 1.0
# It names files and, with a slot's number behind it, workers.
NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ACCELERATOR = re.compile(r"cpu|(auto|cuda)(?::(\d{1,3}))?")


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def at_once(text: str) -> int | None:
    """Return a whole number of at least 1; None for "auto"."""
    if text == "auto":
        return None
    try:
        return count(text)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}, or auto") from None


def gigabytes(text: str) -> float:
    """Return a number of gigabytes in which a worker can start at all."""
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not LEAST_GIGABYTES <= size < float("inf"):
        raise ArgumentTypeError(f"{text!r} must be a number of at least {LEAST_GIGABYTES:g}")
    return size


def accelerator(text: str) -> str:
    """Return the name of where to train; whether it is there, only torch can tell."""
    if not ACCELERATOR.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} must be auto, auto:N, cpu, cuda or cuda:N")
    return text
